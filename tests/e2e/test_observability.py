"""What a real Airflow shows of a run: links, asset events, lineage and metrics, without any secret."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, World, WorldSettings
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.observability.metrics import METRICS
from tests.e2e.conftest import Airflow

HERE = Path(__file__).parent
UNTIL = datetime(2026, 11, 20, tzinfo=UTC)


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


needs_openlineage = pytest.mark.skipif(
    not is_installed("airflow.providers.openlineage"), reason="needs apache-airflow-providers-openlineage"
)
needs_statsd = pytest.mark.skipif(not is_installed("statsd"), reason="needs statsd")


@dataclass(frozen=True)
class Observed:
    """What was printed, sent and written while the DAG ran, and the ground truth."""

    shown: dict[str, Any]
    printed: str
    packets: list[str]
    lineage: list[dict[str, Any]]
    folder: Path
    home: Path
    server: EmulatorServer

    @property
    def rows(self) -> dict[str, int]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in TABLES}
        return {name: count[0] for name, count in counts.items() if count}

    @property
    def credentials(self) -> list[str]:
        """The tokens, the app secret, and the proofs derived from both."""
        tokens = [self.server.user_token, self.server.page_token("100")]
        proofs = [Credentials(token, self.server.app_secret).parameters["appsecret_proof"] for token in tokens]
        return [*tokens, *proofs, self.server.app_secret]

    def completed(self, task: str) -> list[dict[str, Any]]:
        return [e for e in self.lineage if e["eventType"] == "COMPLETE" and e["job"]["name"] == f"observed.{task}"]


TABLES = ("messages", "conversations", "conversation_gaps", "extraction_windows")


@pytest.fixture(scope="module")
def observed(
    tmp_path_factory: pytest.TempPathFactory, shared_airflow: Airflow, statsd: socket.socket
) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    world = World.generate(WorldSettings(pages=1, messages=2000, now=UNTIL))
    with EmulatorServer(world) as server:
        extra = {"calls_per_second": 1000, "app_secret": server.app_secret}
        connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token, "extra": extra}
        environment = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "observed_dags"),
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "OBSERVED_FOLDER": str(folder),
        }
        received(statsd)  # of earlier runs
        airflow = shared_airflow.with_environment(environment)
        result, printed = airflow.run(file="observed"), airflow.printed()
        assert result["state"] == "success", printed[-6000:]
        events = shared_airflow.home / "lineage.jsonl"
        lineage = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
        yield Observed(result["shown"], printed, received(statsd), lineage, folder, shared_airflow.home, server)


def received(statsd: socket.socket) -> list[str]:
    packets = []
    while True:
        try:
            packets.append(statsd.recv(65536).decode())
        except BlockingIOError:
            return packets


def test_each_extract_task_links_to_the_page_inbox(observed: Observed) -> None:
    inbox = "https://business.facebook.com/latest/inbox/all?asset_id=100"
    assert observed.shown["links"] == {"extract[0]": {"Page inbox": inbox}, "load": {}}


def test_asset_events_report_rows_and_source(observed: Observed) -> None:
    events, incomplete = observed.shown["events"], 0
    for manifest in observed.folder.rglob("_manifest.json"):
        incomplete += json.loads(manifest.read_bytes())["stats"]["incomplete"]
    expected = {
        **{table: {"inserted": rows, "updated": 0} for table, rows in observed.rows.items()},
        "pages": ["INSTAGRAM/100", "MESSENGER/100"],
        "window": {"since": None, "until": "2026-11-20T00:00:00+00:00"},
        "incomplete": incomplete,
    }
    assert events == {"observed_messages": expected, "observed_conversations": expected}


@needs_openlineage
def test_openlineage_records_the_step_from_page_to_files(observed: Observed) -> None:
    completed = observed.completed("extract")
    sources = {source["name"] for event in completed for source in event["inputs"]}
    assert sources == {"100/conversations?platform=messenger", "100/conversations?platform=instagram"}
    assert {source["namespace"] for event in completed for source in event["inputs"]} == {"https://graph.facebook.com"}
    targets = [target for event in completed for target in event["outputs"]]
    folders = {f"{observed.folder}/files/platform={platform}/page_id=100" for platform in ("messenger", "instagram")}
    assert {("file", folder) for folder in folders} == {(target["namespace"], target["name"]) for target in targets}
    rows = observed.rows["messages"] + observed.rows["conversations"]
    assert sum(target["outputFacets"]["outputStatistics"]["rowCount"] for target in targets) == rows


@needs_openlineage
def test_openlineage_records_the_step_from_files_to_tables(observed: Observed) -> None:
    [completed] = observed.completed("load")
    from_extract = {target["name"] for event in observed.completed("extract") for target in event["outputs"]}
    assert from_extract == {source["name"] for source in completed["inputs"]}
    assert {target["namespace"] for target in completed["outputs"]} == {f"duckdb://{observed.folder}/warehouse.duckdb"}
    rows = {t["name"]: t["outputFacets"]["outputStatistics"]["rowCount"] for t in completed["outputs"]}
    assert {f"warehouse.main.{name}": count for name, count in observed.rows.items()} == rows
    columns = {field["name"] for target in completed["outputs"] for field in target["facets"]["schema"]["fields"]}
    assert {"message_id", "created_time", "messages_extracted"} <= columns


@needs_statsd
def test_the_metrics_of_a_run_reach_a_statsd_server(observed: Observed) -> None:
    ours = [packet for packet in observed.packets if packet.startswith("airflow.metaconv.")]
    names = {packet.split(",")[0].removeprefix("airflow.") for packet in ours}
    assert {metric.name for metric in METRICS} - {"metaconv.waits"} == names
    assert all(",platform=" in packet and ",page_id=100:" in packet for packet in ours)
    messages = [int(p.split(":")[1].split("|")[0]) for p in ours if p.startswith("airflow.metaconv.messages,")]
    assert observed.rows["messages"] == sum(messages)


def test_the_output_contains_no_secret_or_message_text(observed: Observed) -> None:
    with duckdb.connect(str(observed.folder / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT DISTINCT text FROM messages WHERE length(text) > 25").fetchall()
    secrets = [*(text for (text,) in found[:200]), *observed.credentials]
    assert len(secrets) > 100
    everything = (
        observed.printed + "".join(observed.packets) + json.dumps(observed.lineage) + json.dumps(observed.shown)
    )
    assert [secret for secret in secrets if secret in everything] == []


def test_airflows_files_contain_no_secret_or_message_text(observed: Observed) -> None:
    """Covers rendered fields, XCom, asset events and logs, by the bytes of the metadata database and all files."""
    with duckdb.connect(str(observed.folder / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT DISTINCT text FROM messages WHERE length(text) > 25").fetchall()
    secrets = [*(text for (text,) in found[:200]), *observed.credentials]
    kept = [path for folder in (observed.folder, observed.home) for path in folder.rglob("*") if path.is_file()]
    assert observed.home / "airflow" / "airflow.db" in kept
    rows = (".gz", ".duckdb", ".wal")
    for path in kept:
        content = b"" if path.suffix in rows else path.read_bytes()
        assert [each for each in secrets if each.encode() in content or each in str(path)] == [], path


def test_metrics_are_tagged_only_by_page_and_platform(observed: Observed) -> None:
    ours = [packet.split(":")[0] for packet in observed.packets if packet.startswith("airflow.metaconv.")]
    names = {f"airflow.{metric.name}" for metric in METRICS}
    assert {packet.split(",")[0] for packet in ours} <= names
    tags = {tag.split("=")[0] for packet in ours for tag in packet.split(",")[1:]}
    assert tags <= {"page_id", "platform"}
