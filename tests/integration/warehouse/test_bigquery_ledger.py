"""BigQuery: for any windows, loaded in any order, the ledger matches the rows of messages."""

import tempfile
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.integration.warehouse.bigquery_dataset import BucketFiles, TemporaryDataset
from tests.integration.warehouse.ledger_model import check_histories, histories
from tests.integration.warehouse.shared_loads import SharedLoads


@settings(max_examples=1, phases=[Phase.generate])
@given(st.tuples(*[histories(most_extractions=4, most_loads=2)] * 8))
def test_ledger_matches_messages_for_any_window_order(bigquery_server, storage_server, histories):
    with tempfile.TemporaryDirectory() as folder, TemporaryDataset(bigquery_server) as dataset:
        files = BucketFiles(Path(folder), storage_server)
        check_histories(
            histories, lambda cases: SharedLoads(cases, dataset.warehouse(), files, dataset.rows, dataset.ask)
        )
