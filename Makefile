# Start with `make demo` and `make test`. Every command first installs what it needs into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python keeps the bytecode of what it has imported once: without it Airflow takes twice as long to start. Installation
# compiles none, because most modules of Airflow's and Google's packages are never imported.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := demo
.PHONY: demo demo-gcp check test test-google test-all audit check-types check-sql check-unit check-simulation check-style test-scheduler test-ui test-celery test-dbt test-distribution test-simulation test-matrix bench benchmark benchmark-coverage benchmark-loading \
	benchmark-gcp benchmark-privacy benchmark-views soak simulate fuzz docs trial trial-requirements help clean

demo: $(VENV)/installed
	@$(BIN)/python -m airflow_provider_metaconv.demo

# On local servers, or in Google Cloud: META_GCS_BUCKET=... GOOGLE_CLOUD_PROJECT=... make demo-gcp
demo-gcp: $(VENV)/installed-google
	@$(if $(META_GCS_BUCKET),,$(BIN)/python -m local_servers --) \
		$(BIN)/python -m airflow_provider_metaconv.demo --google --folder .demo-gcp

# Before every commit: style, types, layers, SQL, pure tests, 300 random worlds, known vulnerabilities; in parallel.
check: $(VENV)/installed-google .venv-audit/installed
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target audit check-types check-unit check-sql check-simulation check-style

check-types:
	@$(BIN)/mypy

check-sql:
	@$(BIN)/python -m tools.lint_sql

check-unit:
	@$(BIN)/python -m pytest tests/unit

check-simulation:
	@$(BIN)/python -m tests.simulation --seeds 300

check-style:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

# All tests that need only Python: real sockets, files, DuckDB, and Airflow's dag.test().
# Distributed by file, because the tests of a file share their set-up.
test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(CHECKED)

# Tests that need local servers for Cloud Storage and BigQuery.
test-google: $(VENV)/installed-google
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m google

# Everything, also 1,000 random worlds and the oldest supported Airflow. What make check has run is not run again.
# Schedulers and browsers wait as much as they work, so two of these tests run at once, after all installations. What
# ALSO names runs beside Google's tests: the demos wait for a rate limit.
test-all: CHECKED := --ignore=tests/unit
test-all: check test $(VENV)/installed-ui $(VENV)/installed-celery .venv-airflow-3.1.8/installed .venv-dbt/installed
	$(MAKE) --jobs=2 --output-sync=target test-google $(ALSO)
	$(MAKE) --jobs=2 --output-sync=target \
		test-ui test-scheduler test-celery test-matrix test-dbt test-distribution test-simulation AIRFLOW=3.1.8

test-scheduler: $(VENV)/installed
	$(BIN)/python -m pytest -m scheduler tests/e2e/test_scheduler.py tests/e2e/test_trial_roles.py

# PICTURES=docs retakes the README's screenshots. The coverage page is opened on the oldest supported Airflow, too.
test-ui: $(VENV)/installed-ui .venv-airflow-3.1.8/installed
	$(BIN)/python -m pytest tests/unit/observability/test_coverage_model.py
	$(BIN)/python -m pytest -m ui tests/e2e/test_ui.py tests/e2e/test_coverage_page.py

# Two workers, one of which is killed. Installs Debian's redis-server and postgresql if they are missing and the user is root.
test-celery: $(VENV)/installed-celery
	@$(BIN)/python -m tests.e2e.celery.programs
	$(BIN)/python -m pytest -m celery tests/e2e/celery

# The dbt example of the documentation, with dbt in an environment of its own.
test-dbt: $(VENV)/installed .venv-dbt/installed
	$(BIN)/python -m pytest -m dbt tests/integration/test_dbt.py

# The wheel and the source distribution, and Airflow with the installed wheel.
test-distribution: $(VENV)/installed
	$(BIN)/python -m pytest -m distribution tests/repository/test_distribution.py

# The random worlds that make check and make test have not simulated.
test-simulation: $(VENV)/installed
	$(BIN)/python -m tests.simulation --first 330 --seeds 670

# All versions, or one: make test-matrix AIRFLOW=3.1.8
test-matrix: $(VENV)/installed
	$(BIN)/python -m tools.matrix $(AIRFLOW)

# Comparison with facebook-business, python-facebook-api, airbyte-cdk and dlt, each in its own environment; then privacy.
bench: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.peers
	$(BIN)/python -m tests.benchmarks.privacy

benchmark: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.extraction
	$(BIN)/python -m tests.benchmarks.pacing

benchmark-coverage: $(VENV)/installed-google
	$(BIN)/python -m tests.benchmarks.coverage

# Whether loading one hour costs the same after a year as at the start.
benchmark-loading: $(VENV)/installed-google
	$(BIN)/python -m tests.benchmarks.loading_growth

# An extraction under each privacy policy, and the erasure of one person from a million messages.
benchmark-privacy: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.privacy

# Reading all views beside the load of a million messages into DuckDB.
benchmark-views: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.views

benchmark-gcp: $(VENV)/installed-google
	$(BIN)/python -m tests.benchmarks.google

soak: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.soak

# Runs until stopped, or for SEEDS=n seeds from FIRST=n; SEED=n replays one with its trace.
simulate: $(VENV)/installed
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),$(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)))

# Random mutations of external input, guided by coverage; findings become tests: make fuzz MINUTES=30
fuzz: .venv-fuzz/installed
	@.venv-fuzz/bin/python -m tests.fuzz --minutes $(or $(MINUTES),1) $(foreach target,$(TARGET),--target $(target))

# Known vulnerabilities of pinned dependencies, if a vulnerability index can be reached.
audit: .venv-audit/installed
	@.venv-audit/bin/python -m tools.audit constraints.txt

# The documentation as a site in .site; works offline, and every link is checked.
docs: $(VENV)/installed-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@$(BIN)/python -m tools.site_check .site

help:
	@echo "make demo            the whole pipeline through Airflow on this machine"
	@echo "make demo-gcp        the same with Cloud Storage and BigQuery, on local servers"
	@echo "make trial           everything in containers, with random secrets (Docker Compose)"
	@echo "make check           style, types, layers, pure tests and 300 simulated worlds: a minute"
	@echo "make test            the test suite: five minutes"
	@echo "make test-all        all tests: also Google's services, a scheduler, a browser, Celery, the oldest Airflow"
	@echo "make docs            the documentation as a site, in .site"
	@echo "make fuzz            mutated external input; MINUTES=1, TARGET=manifest"
	@echo "make simulate        random worlds, faults and crashes; SEEDS=n, SEED=n"
	@echo "make test-google, test-scheduler, test-ui, test-celery, test-dbt, test-distribution, test-simulation, test-matrix    parts of test-all, minutes each"
	@echo "make bench, benchmark, benchmark-coverage, benchmark-loading, benchmark-gcp, benchmark-privacy, benchmark-views, soak    measurements"
	@echo "make clean           remove the environments and the demo"

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV), once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints.txt --editable '.[demo,parquet,test]'
	@touch $@

# Google's provider and its dependencies take 1.5 GB: only the commands that use it install it.
$(VENV)/installed-google: $(VENV)/installed
	@echo "Installing Google's provider into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints.txt --editable '.[google,demo,parquet,test]'
	@touch $@

# Uses Debian's Chromium; Playwright's browsers are never downloaded.
$(VENV)/installed-ui: $(VENV)/installed
	@test -x /usr/bin/chromium || test "$$(id -u)" = 0 || \
		{ echo "Chromium is missing: sudo apt-get install chromium fonts-liberation" >&2; exit 1; }
	@test -x /usr/bin/chromium || { echo "Installing Debian's package chromium" && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-liberation >/dev/null; }
	@echo "Installing Playwright into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints.txt --editable '.[demo,parquet,test,ui]'
	@touch $@

.venv-airflow-3.1.8/installed: $(VENV)/installed
	@echo "Installing Airflow 3.1.8 into .venv-airflow-3.1.8, once"
	@$(BIN)/python -m tools.matrix --install 3.1.8
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	@echo "Installing MkDocs into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints.txt --editable '.[docs,duckdb,parquet,test]'
	@touch $@

# Not an extra: Celery users already have its provider and database drivers.
$(VENV)/installed-celery: $(VENV)/installed
	@echo "Installing Celery's provider into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints.txt apache-airflow-providers-celery asyncpg psycopg2-binary
	@touch $@

# In containers, with random secrets; needs Docker.
trial:
	@$(PYTHON) -m tools.trial
	@docker compose --env-file .env.trial up --build --wait

# Update the trial's hashed pins after a change of constraints.txt or of the dependencies.
trial-requirements: $(VENV)/installed
	@$(BIN)/uv pip compile pyproject.toml trial/requirements.in --extra duckdb --extra emulator --extra google --extra parquet \
		--constraint constraints.txt --python-version 3.12 --python-platform linux --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet --output-file trial/requirements.compiled
	@{ head -1 trial/requirements.txt; cat trial/requirements.compiled; } > trial/requirements.new
	@mv trial/requirements.new trial/requirements.txt && rm trial/requirements.compiled

# A separate environment: atheris changes how Python runs, and does not support every Python version.
.venv-fuzz/installed: $(VENV)/installed
	@echo "Installing atheris into .venv-fuzz, once"
	@test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	@$(BIN)/uv pip install --quiet --python .venv-fuzz/bin/python \
		--constraint constraints.txt --editable '.[demo,parquet,test]'
	@$(BIN)/uv pip install --quiet --python .venv-fuzz/bin/python atheris || echo "atheris does not support this Python: fuzzing without coverage"
	@touch $@

# dbt's dependencies conflict with Airflow's.
.venv-dbt/installed: docs/dbt/requirements.txt $(VENV)/installed
	@echo "Installing dbt into .venv-dbt, once"
	@test -x .venv-dbt/bin/python || $(PYTHON) -m venv .venv-dbt
	@$(BIN)/uv pip install --quiet --python .venv-dbt/bin/python --requirement docs/dbt/requirements.txt
	@touch $@

.venv-audit/installed: $(VENV)/installed
	@echo "Installing pip-audit into .venv-audit, once"
	@test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	@$(BIN)/uv pip install --quiet --python .venv-audit/bin/python pip-audit
	@touch $@

clean:
	rm -rf .venv* .demo .demo-gcp .fuzz
