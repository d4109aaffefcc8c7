"""DuckDB: for any windows, loaded in any order, the ledger matches the rows of messages."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.warehouse.ledger_model import Ledger, extractions
from tests.integration.warehouse.test_duckdb import run_query, whole_rows_in
from tests.integration.warehouse.warehouse_contract import Files
from tests.thoroughness import IS_THOROUGH


@settings(max_examples=60 if IS_THOROUGH else 12)
@given(extractions(), st.data())
def test_ledger_matches_messages_for_any_window_order(extractions, data):
    """Files are shuffled one by one, so that even those of one extraction arrive separately."""
    with tempfile.TemporaryDirectory() as folder:
        path, write = Path(folder) / "x.duckdb", Files(Path(folder))
        files = [file for each in extractions for file in each.files(write)]
        files = data.draw(st.permutations(files))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(files)), max_size=3)))
        with DuckDBWarehouse(path) as warehouse:
            for start, end in itertools.pairwise([0, *cuts, len(files)]):
                warehouse.load(files[start:end])
            again = data.draw(st.lists(st.sampled_from(files), max_size=4))
            repeated = warehouse.load(again).tables
        assert [(each.inserted, each.updated) for each in repeated.values()] == [(0, 0)] * 4
        Ledger(extractions).check(lambda name: whole_rows_in(path, name), lambda title: run_query(path, title))
