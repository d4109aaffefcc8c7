"""DuckDB: for any windows, loaded in any order, the ledger matches the rows of messages."""

import tempfile
from functools import partial
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.warehouse.ledger_model import check_histories, histories
from tests.integration.warehouse.shared_loads import SharedLoads
from tests.integration.warehouse.test_duckdb import run_query, whole_rows_in
from tests.integration.warehouse.warehouse_contract import Files
from tests.thoroughness import IS_THOROUGH


@settings(max_examples=12 if IS_THOROUGH else 2)
@given(st.tuples(*[histories(most_extractions=8, most_loads=4)] * 8))
def test_ledger_matches_messages_for_any_window_order(histories):
    with tempfile.TemporaryDirectory() as folder:
        path, files = Path(folder) / "x.duckdb", Files(Path(folder))
        with DuckDBWarehouse(path) as warehouse:
            read_rows, ask = partial(whole_rows_in, path), partial(run_query, path)
            loaded = check_histories(histories, lambda cases: SharedLoads(cases, warehouse, files, read_rows, ask))
            assert loaded.changed_by_loading_again() == set()
