"""The DAG under each policy, in a real Airflow: nothing that it leaves behind has what the policy hides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from tests.e2e.conftest import Airflow
from tests.e2e.hidden import HIDDEN, KEY, NEVER_SHOWN, Hidden
from tests.e2e.leftovers import contents, leaks

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

DAG = """\
from airflow_provider_metaconv.dag import meta_conversations_dag

dag = meta_conversations_dag(
    "POLICY",
    schedule="@hourly",
    pages=["100"],
    destination="FOLDER/files",
    warehouse="duckdb://FOLDER/POLICY.duckdb",
    privacy="POLICY",
    privacy_conn_id="meta_privacy_key",
)
"""


ERASURE = """\
from airflow_provider_metaconv.erasure_dag import meta_erasure_dag

dag = meta_erasure_dag(
    "erase_POLICY",
    destination="FOLDER/files",
    warehouse="duckdb://FOLDER/POLICY.duckdb",
    privacy_conn_id="meta_privacy_key",
    approval=False,
    default_args={"retries": 0},
)
"""


class Stage:
    def __init__(self, folder: Path, world: World, airflow: Airflow) -> None:
        self.folder = folder
        self.world = world
        self.hidden = Hidden.of(world)
        self.airflow = airflow

    def value(self, policy: str, query: str) -> Any:
        with duckdb.connect(str(self.folder / policy / f"{policy}.duckdb"), read_only=True) as connection:
            [row] = connection.execute(query).fetchall()
            return row

    def shown(self, kinds: tuple[str, ...], folder: Path) -> set[tuple[str, str]]:
        """The kind and the file of everything that the policy hides and a file shows."""
        return self.hidden.shown(kinds, ((str(path), content) for path, _, content in contents(folder)))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, shared_airflow: Airflow) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("privacy")
    # People of its own: the Airflow is shared, and its log shows conversations of other tests.
    world = World.generate(WorldSettings(seed=2, pages=1, messages=300, now=NOW))
    with EmulatorServer(world) as server:
        # Pages this short need calls for single conversations, whose paths name them.
        server.add_fault(Fault("page_size", edge="messages", size=2))
        extra = {"calls_per_second": 1000}
        connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token, "extra": extra}
        (folder / "dags").mkdir()
        for policy in HIDDEN:
            (folder / policy).mkdir()
            text = DAG.replace("FOLDER", str(folder / policy)).replace("POLICY", policy)
            (folder / "dags" / f"{policy}_dag.py").write_text(text, "utf-8")
            text = ERASURE.replace("FOLDER", str(folder / policy)).replace("POLICY", policy)
            (folder / "dags" / f"erase_{policy}.py").write_text(text, "utf-8")
        environment = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_META_PRIVACY_KEY": json.dumps({"conn_type": "generic", "password": KEY}),
        }
        yield Stage(folder, world, shared_airflow.with_environment(environment))


@pytest.fixture(scope="module", params=HIDDEN)
def policy(request: pytest.FixtureRequest, stage: Stage) -> str:
    result = stage.airflow.run(file=f"{request.param}_dag", since="begin", until=NOW.isoformat())
    assert result["state"] == "success", stage.airflow.printed()[-3000:]
    return str(request.param)


def test_files_and_tables_show_nothing_that_is_hidden(stage: Stage, policy: str) -> None:
    assert stage.shown(HIDDEN[policy], stage.folder / policy) == set()


def test_logs_xcom_and_the_metadata_database_show_nobody(stage: Stage, policy: str) -> None:
    """Everything of Airflow's own, whichever policies have run: no ID, no name, no text and no link."""
    assert stage.shown(NEVER_SHOWN, stage.airflow.home) == set()


def test_the_key_is_nowhere(stage: Stage, policy: str) -> None:
    for folder in (stage.folder, stage.airflow.home):
        assert leaks(folder, {"privacy key": KEY}) == []


def test_every_message_is_stored_and_joins_work(stage: Stage, policy: str) -> None:
    messages, people, unknown = stage.value(
        policy,
        "SELECT count(*), count(DISTINCT sender_id), count(*) FILTER (sender_id NOT IN "
        "(SELECT unnest(participants->>'$[*].id') FROM conversations WHERE participants IS NOT NULL)) FROM messages",
    )
    assert messages >= 300
    assert people > 10
    assert unknown == 0


def test_the_tables_name_policy_and_key(stage: Stage, policy: str) -> None:
    query = "SELECT DISTINCT privacy_policy, privacy_key_id FROM extraction_windows"
    assert stage.value(policy, query) == (policy, Pseudonyms(KEY).key_id)


def test_the_search_finds_what_is_kept(stage: Stage, policy: str) -> None:
    """Pseudonymous data keeps conversations and messages; without them, the search would prove nothing."""
    found = {kind for kind, _ in stage.shown(("conversation", "message"), stage.folder / policy)}
    assert found == ({"conversation", "message"} if policy == "pseudonymous" else set())


def test_an_erased_person_is_in_no_byte_of_files_and_tables(stage: Stage, policy: str) -> None:
    """The last test of the policy: the DAG erases, and the next full history does not bring the person back."""
    thread = max(stage.world.all_conversations("100", "MESSENGER"), key=lambda each: len(each.messages))
    pseudonyms = Pseudonyms(KEY)
    person = thread.customer["id"]
    traces = [form.encode() for each in (person, thread.id) for form in (each, pseudonyms.of(each))]
    traces += [message.id.encode() for message in thread.messages]

    def shown() -> set[bytes]:
        return {trace for _, _, content in contents(stage.folder / policy) for trace in traces if trace in content}

    assert shown()
    # Airflow keeps the params of the run until somebody deletes it, as the documentation says.
    stage.hidden.erased.add(person)
    result = stage.airflow.run(None, file=f"erase_{policy}", person_id=person)
    assert result["state"] == "success", stage.airflow.printed()[-3000:]
    assert shown() == set()
    receipt = json.loads(Path(result["returned"]["erase"]).read_bytes())
    assert receipt["erased"]["tables"]["messages"] == len(thread.messages)
    assert set(receipt["remaining"].values()) == {0}
    again = stage.airflow.run(file=f"{policy}_dag", since="begin", until=NOW.isoformat())
    assert again["state"] == "success", stage.airflow.printed()[-3000:]
    assert shown() == set()
