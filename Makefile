# Everything a newcomer needs: `make demo` and `make test`. All commands install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Byte code is written at install time: without it each of Airflow's starts takes twice as long.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo demo-gcp test test-scheduler benchmark benchmark-gcp soak clean

demo: $(VENV)/installed
	@$(BIN)/python -m airflow_provider_metaconv.demo

# On local servers, or in the real cloud: META_GCS_BUCKET=... GOOGLE_CLOUD_PROJECT=... make demo-gcp
demo-gcp: $(VENV)/installed-google
	@$(if $(META_GCS_BUCKET),,$(BIN)/python -m tests.google_servers --) \
		$(BIN)/python -m airflow_provider_metaconv.demo --google --folder .demo-gcp

test: $(VENV)/installed-google
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

test-scheduler: $(VENV)/installed
	$(BIN)/python -m pytest -m scheduler tests/end_to_end/test_scheduler.py

benchmark: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.extraction
	$(BIN)/python -m tests.benchmarks.pacing

benchmark-gcp: $(VENV)/installed-google
	$(BIN)/python -m tests.benchmarks.google

soak: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.soak

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV), once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt --editable '.[duckdb,parquet,test]'
	@touch $@

# Google's provider is 1.5 GB with all it needs: only the commands that use it bring it along.
$(VENV)/installed-google: $(VENV)/installed
	@echo "Installing Google's provider into $(VENV), once"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt --editable '.[google,duckdb,parquet,test]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-google-storage .venv-google-bigquery .demo .demo-gcp
