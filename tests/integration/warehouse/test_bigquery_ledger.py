"""BigQuery: for any windows, loaded in any order, the ledger matches the rows of messages."""

import tempfile
from pathlib import Path

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tests.integration.warehouse.bigquery_dataset import BucketFiles, TemporaryDataset
from tests.integration.warehouse.ledger_model import PAGE, Ledger, OneTable, extractions
from tests.integration.warehouse.shared_loads import SharedLoads

PAGES = 8


@st.composite
def histories(draw):
    """Extractions, and two loads of their files in any order."""
    read = draw(extractions(most=4))
    files = draw(st.permutations([OneTable(each, table) for each in read for table in each.rows()]))
    cut = draw(st.integers(0, len(files)))
    return read, [files[:cut], files[cut:]]


@settings(max_examples=1, phases=[Phase.generate])
@given(st.tuples(*[histories()] * PAGES))
def test_ledger_matches_messages_for_any_window_order(bigquery_server, storage_server, histories):
    # The first that Hypothesis tries are the simplest.
    assume(sum(len(read) for read, _ in histories) > 2 * PAGES)
    cases = {f"Page {number}": loads for number, (_, loads) in enumerate(histories)}
    with tempfile.TemporaryDirectory() as folder, TemporaryDataset(bigquery_server) as dataset:
        files = BucketFiles(Path(folder), storage_server)
        loaded = SharedLoads(cases, dataset.warehouse(), files, dataset.rows, dataset.ask)
        for page, (read, _) in zip(cases, histories, strict=True):
            Ledger(read).check(
                lambda table, page=page: loaded.rows(page, table),
                lambda query, page=page: [[*PAGE.values(), *row[2:]] for row in loaded.ask(page, query)],
            )
