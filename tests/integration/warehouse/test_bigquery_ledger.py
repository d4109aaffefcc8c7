"""BigQuery: for any windows, loaded in any order, the ledger matches the rows of messages."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.warehouse.bigquery_dataset import BucketFiles, TemporaryDataset
from tests.integration.warehouse.ledger_model import Ledger, extractions


@settings(max_examples=3)
@given(extractions(most=4), st.data())
def test_ledger_matches_messages_for_any_window_order(bigquery_server, storage_server, extractions, data):
    with tempfile.TemporaryDirectory() as folder, TemporaryDataset(bigquery_server) as dataset:
        write = BucketFiles(Path(folder), storage_server)
        files = [file for each in extractions for file in each.files(write)]
        files = data.draw(st.permutations(files))
        cut = data.draw(st.integers(0, len(files)))
        for start, end in itertools.pairwise([0, cut, len(files)]):
            dataset.warehouse().load(files[start:end])
        Ledger(extractions).check(dataset.rows, dataset.ask)
