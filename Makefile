# Everything a newcomer needs: `make demo` and `make test`. All commands install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Byte code is written at install time: without it each of Airflow's starts takes twice as long.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := demo
.PHONY: demo demo-gcp check test test-google test-all audit check-types check-sql check-unit check-simulation check-style test-scheduler test-ui test-celery test-matrix bench benchmark benchmark-coverage benchmark-loading \
	benchmark-gcp soak simulate fuzz docs trial trial-requirements help clean

demo: $(VENV)/installed
	@$(BIN)/python -m airflow_provider_metaconv.demo

# On local servers, or in the real cloud: META_GCS_BUCKET=... GOOGLE_CLOUD_PROJECT=... make demo-gcp
demo-gcp: $(VENV)/installed-google
	@$(if $(META_GCS_BUCKET),,$(BIN)/python -m local_servers --) \
		$(BIN)/python -m airflow_provider_metaconv.demo --google --folder .demo-gcp

# Before every commit: style, types, layers, SQL, the pure tests, 300 random worlds, known vulnerabilities; side by side.
check: $(VENV)/installed-google .venv-audit/installed
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target audit check-types check-unit check-sql check-simulation check-style

check-types:
	@$(BIN)/mypy

check-sql:
	@$(BIN)/python -m tools.lint_sql

check-unit:
	@$(BIN)/python -m pytest tests/unit tests/repository/test_docs.py tests/repository/test_readme.py

check-simulation:
	@$(BIN)/python -m tests.simulation --seeds 300

check-style:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

# All that needs nothing but Python: real sockets, files, DuckDB, and Airflow's dag.test().
# By file, whose tests share their set-up.
test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

# What needs local servers of Cloud Storage and BigQuery.
test-google: $(VENV)/installed-google
	$(BIN)/python -m pytest --numprocesses=2 -m google

# Everything, with 2,000 random worlds and the oldest Airflow that is supported at the end.
# Every case of what make test tries some of.
test-all: export METACONV_THOROUGH := 1
test-all: check test test-google test-scheduler test-ui test-celery
	$(BIN)/python -m tests.simulation --seeds 2000
	$(MAKE) test-matrix AIRFLOW=3.1.8

test-scheduler: $(VENV)/installed
	$(BIN)/python -m pytest -m scheduler tests/e2e/test_scheduler.py tests/e2e/test_trial_roles.py

# With PICTURES=docs the README's pictures are taken anew.
test-ui: $(VENV)/installed-ui
	$(BIN)/python -m pytest -m ui tests/e2e/test_ui.py

# Two workers, one of which is killed; Debian's redis-server and postgresql are installed when missing and when root.
test-celery: $(VENV)/installed-celery
	@$(BIN)/python -m tests.e2e.celery.programs
	$(BIN)/python -m pytest -m celery tests/e2e/celery

# All of it, or one: make test-matrix AIRFLOW=3.1.8
test-matrix: $(VENV)/installed
	$(BIN)/python -m tools.matrix $(AIRFLOW)

# Beside facebook-business, python-facebook-api, airbyte-cdk and dlt, each in an environment of its own.
bench: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.peers

benchmark: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.extraction
	$(BIN)/python -m tests.benchmarks.pacing

benchmark-coverage: $(VENV)/installed-google
	$(BIN)/python -m tests.benchmarks.coverage

# Whether a load of one hour costs after a year what the first did.
benchmark-loading: $(VENV)/installed-google
	$(BIN)/python -m tests.benchmarks.loading_growth

benchmark-gcp: $(VENV)/installed-google
	$(BIN)/python -m tests.benchmarks.google

soak: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.soak

# Until stopped, or SEEDS=n of them, from FIRST=n on; SEED=n shows what happens in that one.
simulate: $(VENV)/installed
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),$(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)))

# What comes from outside, changed at random, guided by coverage; findings become tests: make fuzz MINUTES=30
fuzz: .venv-fuzz/installed
	@.venv-fuzz/bin/python -m tests.fuzz --minutes $(or $(MINUTES),1) $(foreach target,$(TARGET),--target $(target))

# Whether a pinned dependency has a known vulnerability, as far as an index that knows can be reached.
audit: .venv-audit/installed
	@.venv-audit/bin/python -m tools.audit constraints.txt

# The documentation as a site in .site: offline, and every link checked.
docs: $(VENV)/installed-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@$(BIN)/python -m tools.site_check .site

help:
	@echo "make demo            the whole path through Airflow on this machine"
	@echo "make demo-gcp        the same with Cloud Storage and BigQuery, on local servers"
	@echo "make trial           everything in containers, with secrets of its own: docker compose"
	@echo "make check           style, types, layers, pure tests and 300 simulated worlds: a minute"
	@echo "make test            the suite: five minutes"
	@echo "make test-all        the same with Google's servers, a scheduler, a browser, Celery, the oldest Airflow"
	@echo "make docs            the documentation as a site, in .site"
	@echo "make fuzz            changed input from outside; MINUTES=1, TARGET=manifest"
	@echo "make simulate        random worlds, faults and crashes; SEEDS=n, SEED=n"
	@echo "make test-google, test-scheduler, test-ui, test-celery, test-matrix    parts of it, for minutes each"
	@echo "make bench, benchmark, benchmark-coverage, benchmark-loading, benchmark-gcp, soak    figures"
	@echo "make clean           remove the environments and the demo"

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV), once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt --editable '.[demo,parquet,test]'
	@touch $@

# Google's provider is 1.5 GB with all it needs: only the commands that use it bring it along.
$(VENV)/installed-google: $(VENV)/installed
	@echo "Installing Google's provider into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt --editable '.[google,demo,parquet,test]'
	@touch $@

# Debian's own Chromium is driven; Playwright's is never downloaded.
$(VENV)/installed-ui: $(VENV)/installed
	@test -x /usr/bin/chromium || test "$$(id -u)" = 0 || \
		{ echo "Chromium is missing: sudo apt-get install chromium fonts-liberation" >&2; exit 1; }
	@test -x /usr/bin/chromium || { echo "Installing Debian's package chromium" && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-liberation >/dev/null; }
	@echo "Installing Playwright into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt --editable '.[demo,parquet,test,ui]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	@echo "Installing MkDocs into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt --editable '.[docs,duckdb,parquet,test]'
	@touch $@

# No extra of ours: whoever runs Celery has its provider and a database's drivers already.
$(VENV)/installed-celery: $(VENV)/installed
	@echo "Installing Celery's provider into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt apache-airflow-providers-celery asyncpg psycopg2-binary
	@touch $@

# An environment of its own: atheris changes how Python runs, and is not made for every Python.
# In containers, with random secrets of its own: needs Docker.
trial:
	@$(PYTHON) -m tools.trial
	@docker compose --env-file .env.trial up --build --wait

# The trial's pins, with hashes, after constraints.txt or the dependencies have changed.
trial-requirements: $(VENV)/installed
	@$(BIN)/uv pip compile pyproject.toml trial/requirements.in --extra duckdb --extra emulator --extra google --extra parquet \
		--constraint constraints.txt --python-version 3.12 --python-platform linux --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet --output-file trial/requirements.compiled
	@{ head -1 trial/requirements.txt; cat trial/requirements.compiled; } > trial/requirements.new
	@mv trial/requirements.new trial/requirements.txt && rm trial/requirements.compiled

.venv-fuzz/installed: $(VENV)/installed
	@echo "Installing atheris into .venv-fuzz, once"
	@test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	@$(BIN)/uv pip install --quiet --python .venv-fuzz/bin/python --compile-bytecode \
		--constraint constraints.txt --editable '.[demo,parquet,test]'
	@$(BIN)/uv pip install --quiet --python .venv-fuzz/bin/python atheris || echo "There is no atheris for this Python: by chance alone"
	@touch $@

.venv-audit/installed: $(VENV)/installed
	@echo "Installing pip-audit into .venv-audit, once"
	@test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	@$(BIN)/uv pip install --quiet --python .venv-audit/bin/python pip-audit
	@touch $@

clean:
	rm -rf .venv* .demo .demo-gcp .fuzz
