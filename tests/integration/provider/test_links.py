"""The links beside a task: their targets, when there is none, and that they survive serialization."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.serialization import serialized_objects

from airflow_provider_metaconv.observability.links import push_links
from airflow_provider_metaconv.operators.extract import (
    MetaConversationsToGCSOperator,
    MetaConversationsToLocalFilesystemOperator,
    MetaConversationsToStorageOperator,
)
from airflow_provider_metaconv.operators.load import MetaConversationsToBigQueryOperator

INBOX = "https://business.facebook.com/latest/inbox/all?asset_id=100"
WINDOW = "platform=messenger/page_id=100/window=begin_20261120T000000Z"


def extract(**arguments: Any) -> MetaConversationsToGCSOperator:
    return MetaConversationsToGCSOperator(
        **{"task_id": "extract", "page_id": "100", "platform": "MESSENGER", "bucket": "my-bucket", **arguments}
    )


def urls(operator: Any) -> dict[str, str]:
    return {link.name: link.get_link(operator, ti_key=None) for link in operator.operator_extra_links}


def test_files_in_a_bucket_link_to_their_folder() -> None:
    task = extract()
    task.manifest_uri = f"gs://my-bucket/meta raw/{WINDOW}/_manifest.json"
    quoted = WINDOW.replace("=", "%3D")
    folder = f"https://console.cloud.google.com/storage/browser/my-bucket/meta%20raw/{quoted}"
    assert urls(task) == {"Page inbox": INBOX, "Files": folder}


@pytest.mark.parametrize("manifest", [None, f"/data/meta/{WINDOW}/_manifest.json"], ids=["not yet", "local"])
def test_files_without_a_web_address_have_no_link(manifest: str | None) -> None:
    task = MetaConversationsToStorageOperator(
        task_id="extract", page_id="100", platform="MESSENGER", destination="/data/meta"
    )
    task.manifest_uri = manifest
    assert urls(task) == {"Page inbox": INBOX, "Files": ""}


@pytest.mark.parametrize("page_id", ["my-page", "100&x=1", ""])
def test_an_invalid_page_id_has_no_inbox_link(page_id: str) -> None:
    assert urls(extract(page_id=page_id))["Page inbox"] == ""


def test_tables_link_to_the_console() -> None:
    task = MetaConversationsToBigQueryOperator(task_id="load", manifests=[], dataset="meta")
    assert urls(task) == {"Table messages": "", "Table conversations": ""}
    task.full_dataset = "my-project.meta"
    start = "https://console.cloud.google.com/bigquery?p=my-project&d=meta&t="
    assert {f"Table {name}": f"{start}{name}&page=table" for name in ("messages", "conversations")} == urls(task)


def test_known_links_are_pushed_while_the_task_runs() -> None:
    class Instance:
        pushed: dict[str, Any] = {}  # noqa: RUF012

        def xcom_push(self, key: str, value: Any) -> None:
            self.pushed[key] = value

    push_links(extract(), {"ti": Instance()})  # type: ignore[typeddict-item]
    assert Instance.pushed == {"metaconv_page_inbox_link": INBOX}


def test_links_survive_dag_serialization() -> None:
    with DAG("links", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as dag:
        MetaConversationsToLocalFilesystemOperator.partial(
            task_id="mapped", platform="MESSENGER", destination="/data/meta"
        ).expand(page_id=["100", "101"])
        extract()
        MetaConversationsToBigQueryOperator(task_id="load", manifests=[], dataset="meta")
    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"
    serialization = getattr(serialized_objects, name)
    stored = serialization.from_dict(serialization.to_dict(dag))
    assert {task_id: sorted(task.extra_links) for task_id, task in stored.task_dict.items()} == {
        "mapped": ["Page inbox"],
        "extract": ["Files", "Page inbox"],
        "load": ["Table conversations", "Table messages"],
    }
