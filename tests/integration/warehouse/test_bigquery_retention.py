"""BigQuery: old days expire by themselves, and a table that loses them that way is counted again."""

import pytest

from airflow_provider_metaconv.schema import CONVERSATIONS
from tests.integration.warehouse.bigquery_dataset import BucketFiles, TemporaryDataset
from tests.integration.warehouse.retention_contract import CUTOFF, MIDNIGHT, RETENTION, before
from tests.integration.warehouse.warehouse_contract import conversation, counts, message

DAY_IN_MILLISECONDS = 24 * 3_600 * 1_000


@pytest.fixture
def dataset(bigquery_server):
    with TemporaryDataset(bigquery_server) as dataset:
        yield dataset


@pytest.fixture
def files(tmp_path, storage_server):
    return BucketFiles(tmp_path, storage_server)


def partitions(dataset):
    return dataset.client.get_table(f"{dataset.name}.messages").time_partitioning


def test_old_days_also_expire_by_themselves(dataset, files):
    warehouse = dataset.warehouse()
    warehouse.load([files(message(1))])
    assert partitions(dataset).expiration_ms is None
    # The response to the first update is lost.
    dataset.server.fail("^PATCH .*/tables/messages", 1, status_after=503)
    for retention in (RETENTION, RETENTION * 2, RETENTION * 2):
        warehouse.remove_old(CUTOFF, retention)
        found = partitions(dataset)
        assert (found.type_, found.field) == ("DAY", "created_time")
        assert found.expiration_ms == retention.days * DAY_IN_MILLISECONDS + 2 * DAY_IN_MILLISECONDS


def test_a_table_that_is_not_partitioned_loses_the_same_messages(dataset, files):
    warehouse = dataset.warehouse()
    warehouse.load([files(message(1), message(2, created_time=before(1)))])
    dataset.query("CREATE TABLE {dataset}.copy AS SELECT * FROM {dataset}.messages")
    dataset.query("DROP TABLE {dataset}.messages")
    dataset.query("CREATE TABLE {dataset}.messages AS SELECT * FROM {dataset}.copy")
    assert warehouse.remove_old(CUTOFF, RETENTION) == counts(messages=1)
    assert partitions(dataset) is None


def test_conversations_that_lost_expired_days_are_counted_again(dataset, files):
    warehouse = dataset.warehouse()
    times = {"oldest_message_time": before(30), "newest_message_time": MIDNIGHT}
    warehouse.load(
        [
            files(message(1, created_time=MIDNIGHT), message(2, created_time=before(30))),
            files(conversation(1, **times), table=CONVERSATIONS),
        ]
    )
    dataset.query("DELETE FROM {dataset}.messages WHERE message_id = 'm_2'")  # as BigQuery drops a day
    assert warehouse.remove_old(CUTOFF, RETENTION) == counts()
    [row] = dataset.rows("conversations")
    assert (row["messages_extracted"], row["oldest_message_time"]) == (1, MIDNIGHT)
