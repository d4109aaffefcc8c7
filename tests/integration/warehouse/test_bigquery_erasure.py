"""BigQuery: an erasure and loads beside it lose nothing, and what cannot be erased is said."""

import threading

import pytest

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import EXTRACTION_WINDOWS
from airflow_provider_metaconv.warehouse import LoadResult, WarehouseBusyError, WarehouseRefusedError
from airflow_provider_metaconv.warehouse.bigquery import erasure, merge
from tests.integration.warehouse.bigquery_dataset import BucketFiles, TemporaryDataset, shorten_pauses
from tests.integration.warehouse.warehouse_contract import counts, message, window

OWN = Scope.OWN
ANN, BOB = {"id": "7"}, {"id": "8"}


@pytest.fixture
def dataset(bigquery_server):
    with TemporaryDataset(bigquery_server) as dataset:
        yield dataset


@pytest.fixture
def files(tmp_path, storage_server):
    return BucketFiles(tmp_path, storage_server)


def to_both(number):
    return message(number, recipients=[ANN, BOB], reactions=[{"reaction": "wow", "users": [BOB]}])


def test_rows_that_do_not_fit_into_one_request_are_changed_before(dataset, files, monkeypatch):
    monkeypatch.setattr(erasure, "LARGEST_REQUEST", 500)
    warehouse = dataset.warehouse()
    warehouse.load([files(*map(to_both, range(3)), message(3, sender_id="7"))])
    assert warehouse.remaining(["7"], [], OWN) == counts(messages=4)
    # The responses to the first jobs are lost as well.
    dataset.server.fail("^POST .*/jobs[?]", 2, status_after=503)
    assert warehouse.erase(["7"], [], OWN) == counts(messages=4)
    rows = dataset.rows("messages")
    assert [(row["message_id"], row["recipients"], row["reactions"]) for row in rows] == [
        (f"m_{number}", [BOB], [{"reaction": "wow", "users": [BOB]}]) for number in range(3)
    ]


def test_a_row_that_a_load_changes_meanwhile_is_read_again(dataset, files, monkeypatch):
    """Without conflicting transactions: the load ends between the reading of the row and the erasure."""
    changes = erasure.Erasure.changes_of
    loaded: list[LoadResult] = []

    def changes_then_load(self, table):
        found = list(changes(self, table))
        if not loaded:
            loaded.append(warehouse.load([files(to_both(1) | {"text": "new", "recipients": [BOB, ANN, BOB]})]))
        return iter(found)

    warehouse = dataset.warehouse()
    warehouse.load([files(to_both(1), message(2, sender_id="7"))])
    monkeypatch.setattr(erasure.Erasure, "changes_of", changes_then_load)
    shorten_pauses(monkeypatch)
    assert warehouse.erase(["7"], [], OWN) == counts(messages=2)
    [row] = dataset.rows("messages")
    assert (row["text"], row["recipients"]) == ("new", [BOB, BOB])


def test_a_load_and_an_erasure_at_the_same_time_both_succeed(dataset, files):
    warehouse = dataset.warehouse()
    warehouse.load([files(*map(to_both, range(10)), message(10, sender_id="7"))])
    step = warehouse.begin([files(*(message(number, text="new") for number in range(20, 40)))])
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(_finish(warehouse, step).tables["messages"].inserted)),
        threading.Thread(target=lambda: found.append(dataset.warehouse().erase(["7"], [], OWN)["messages"])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert sorted(found) == [11, 20]
    assert {row["message_id"]: row["recipients"] for row in dataset.rows("messages")} == (
        {f"m_{number}": [BOB] for number in range(10)} | {f"m_{number}": None for number in range(20, 40)}
    )
    assert warehouse.remaining(["7"], [], OWN) == counts()


def test_an_erasure_that_keeps_conflicting_gives_up_and_changes_nothing(dataset, files, monkeypatch):
    monkeypatch.setattr(merge, "ATTEMPTS_WHEN_BUSY", 2)
    shorten_pauses(monkeypatch)
    warehouse = dataset.warehouse()
    warehouse.load([files(to_both(1), message(2, sender_id="7"))])
    # What is read is never what the row has then.
    monkeypatch.setattr(erasure.Erasure, "changes_of", lambda *_: iter(()))
    with pytest.raises(WarehouseBusyError, match=r"other loads changed the tables in .*, 2 times in a row"):
        warehouse.erase(["7"], [], OWN)
    assert len(dataset.rows("messages")) == 2


def test_tables_of_an_earlier_release_are_erased(dataset, files):
    warehouse = dataset.warehouse()
    warehouse.load([files(to_both(1)), files(window(1), table=EXTRACTION_WINDOWS)])
    for column in ("privacy_policy", "privacy_key_id"):
        dataset.query(f"ALTER TABLE {{dataset}}.extraction_windows DROP COLUMN {column}")
    dataset.query("DROP TABLE {dataset}.conversation_gaps")
    assert warehouse.policies() == {("full", "")}
    assert warehouse.conversations_of(["7"]) == {"t_1"}
    assert warehouse.remaining(["7"], [], OWN) == warehouse.erase(["7"], [], OWN) == counts(messages=1)


def test_a_dataset_that_does_not_exist_is_not_empty(dataset):
    with pytest.raises(WarehouseRefusedError, match=r"dataset .* does not exist"):
        dataset.warehouse().erase(["7"], [], OWN)


def test_the_limits_name_the_datasets_own_time_travel(dataset):
    made = dataset.client.create_dataset(dataset.name)
    made.max_time_travel_hours = 48
    dataset.client.update_dataset(made, ["max_time_travel_hours"])
    name = f"{dataset.client.project}.{dataset.name}"
    assert dataset.warehouse().limits()[0] == (
        f"Time travel shows erased rows of {name} for 48 hours, and Google can restore them 7 days longer."
    )


def _finish(warehouse, step):
    while step.result is None:
        step = warehouse.advance(step)
    return step.result
