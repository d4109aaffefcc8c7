"""An erased person is in no file, nobody else changes, and no later run brings them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    Fault,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
)
from airflow_provider_metaconv.erase.erase import Erasure, change_suppressed, erase, preview, read_suppressed
from airflow_provider_metaconv.extract.extraction import SuppressionChangedError
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.privacy.policy import PolicyError, PrivacyPolicy
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.privacy.scrubber import built_in
from airflow_provider_metaconv.privacy.suppression import Scope
from tests.e2e.leftovers import contents
from tests.integration.extract.extraction import extract, written

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
ANA, BOB, CLEO = "71000000000001", "71000000000002", "71000000000003"
NAMES = {ANA: "Ana Example", BOB: "Bob Example", CLEO: "Cleo Example"}
PSEUDONYMS = Pseudonyms("k" * 32)
WINDOW = "platform=messenger/page_id=100/window=begin_20261120T000000Z"
OTHER_WINDOW = "platform=messenger/page_id=100/window=20261118T000000Z_20261120T000000Z"


def thread(person: str, number: int, days: int) -> ThreadSpec:
    """A conversation whose newest message is from the Page, and in which Ana reacts to everything."""
    love = {"reactions": [{"reaction": "love", "users": [{"id": ANA, "name": NAMES[ANA]}, {"id": CLEO}]}]}
    return ThreadSpec(
        messages=[
            MessageSpec(UNTIL - timedelta(days=days, minutes=n), f"text {n} of {NAMES[person]}", n % 2 == 0, love)
            for n in range(6)
        ],
        thread_id=f"t_{number}",
        customer_name=NAMES[person],
        customer_id=person,
    )


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    threads = [thread(person, number, number + 1) for number, person in enumerate(NAMES)]
    with EmulatorServer(build_world([PageSpec("100", threads)])) as server:
        yield server


@pytest.fixture(params=["ndjson", "parquet"])
def file_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def privacy(policy: str) -> RowPrivacy:
    return RowPrivacy(PrivacyPolicy.parse(policy), PSEUDONYMS, built_in())


def traces(root: Path, person: str = ANA) -> set[str]:
    """What of a person any file below a folder has, in any form; of a receipt or list, nothing either."""
    number = list(NAMES).index(person)
    needles = [person, NAMES[person], PSEUDONYMS.of(person), f'"t_{number}"', PSEUDONYMS.of(f"t_{number}")]
    return {
        str(path.relative_to(root))
        for path, _, content in contents(root)
        for needle in needles
        if needle.encode() in content
    }


def rows(folder: Path, without: str) -> list[Any]:
    """Messages and conversations of everybody but one person, without what only reactions tell of that one."""
    found = written(folder)
    number = list(NAMES).index(without)
    return [
        {name: value for name, value in row.items() if name != "reactions"}
        for row in (*found.messages, *found.conversations)
        if row["conversation_id"] not in (f"t_{number}", PSEUDONYMS.of(f"t_{number}"))
    ]


@pytest.mark.parametrize("policy", ["full", "pseudonymous", "metadata"])
def test_nothing_of_the_person_is_left_and_nobody_else_changes(
    server: EmulatorServer, tmp_path: Path, policy: str
) -> None:
    for window, since in ((WINDOW, None), (OTHER_WINDOW, UNTIL - timedelta(days=2))):
        extract(server, tmp_path / window, since=since, until=UNTIL, privacy=privacy(policy))
    before = [rows(tmp_path / window, ANA) for window in (WINDOW, OTHER_WINDOW)]
    assert traces(tmp_path)
    receipt = Path(erase(LocalStorage(tmp_path), Erasure((ANA,), pseudonyms=PSEUDONYMS)))
    assert traces(tmp_path) == set()
    assert [rows(tmp_path / window, ANA) for window in (WINDOW, OTHER_WINDOW)] == before
    told = json.loads(receipt.read_bytes())
    assert told["remaining"] == {"files": 0}
    assert told["found"] == {"conversations": 1}
    assert told["erased"]["files"]["windows"] == 2


def test_it_works_for_parquet(server: EmulatorServer, tmp_path: Path, file_format: str) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL, file_format=file_format)
    erase(LocalStorage(tmp_path), Erasure((ANA,)))
    assert traces(tmp_path) == set()
    assert traces(tmp_path, BOB)


def test_manifest_and_ledger_still_agree(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL)
    erase(LocalStorage(tmp_path), Erasure((ANA,)))
    found = written(tmp_path / WINDOW)
    [window] = found.windows
    for counts in (found.manifest["stats"], window):
        assert (
            (counts["messages"], counts["conversations"]) == (12, 2) == (len(found.messages), len(found.conversations))
        )
    assert window["status"] == "complete"


def test_only_the_persons_own_messages_and_traces(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL)
    erase(LocalStorage(tmp_path), Erasure((ANA,), Scope.OWN))
    found = written(tmp_path / WINDOW)
    own = [row for row in found.messages if row["conversation_id"] == "t_0"]
    assert [row["direction"] for row in own] == ["outbound"] * 3
    assert {json.dumps(row["recipients"]) for row in own} == {"null"}
    [conversation] = [row for row in found.conversations if row["conversation_id"] == "t_0"]
    assert conversation["messages_extracted"] == 3
    assert ANA not in json.dumps([found.messages, found.conversations])
    assert len(found.messages) == 15


@pytest.mark.parametrize("scope", Scope)
def test_the_next_full_history_does_not_bring_them_back(server: EmulatorServer, tmp_path: Path, scope: Scope) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL)
    root = LocalStorage(tmp_path)
    erase(root, Erasure((ANA,), scope))
    before = written(tmp_path / WINDOW)
    extract(server, tmp_path / "again", until=UNTIL, suppressed=read_suppressed(root))
    after = written(tmp_path / "again")
    by_id = lambda row: row["message_id"]  # noqa: E731
    assert sorted(after.messages, key=by_id) == sorted(before.messages, key=by_id)
    assert sorted(after.conversations, key=str) == sorted(before.conversations, key=str)
    assert ANA not in json.dumps([after.messages, after.conversations, after.gaps])


def test_a_conversation_that_cannot_be_read_stays_out_of_the_ledger(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL)
    root = LocalStorage(tmp_path)
    erase(root, Erasure((ANA,)))
    server.add_fault(Fault("poisoned_thread", thread_id="t_0", alone=True))
    extract(server, tmp_path / "again", until=UNTIL, suppressed=read_suppressed(root))
    assert '"t_0"' not in json.dumps(vars(written(tmp_path / "again")))


def test_somebody_removed_from_the_list_is_extracted_again(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL)
    root = LocalStorage(tmp_path)
    erase(root, Erasure((ANA,)))
    erase(root, Erasure((BOB,)))
    change_suppressed(root, lambda before: before.without([ANA]))
    extract(server, tmp_path / "again", until=UNTIL, suppressed=read_suppressed(root))
    assert {row["conversation_id"] for row in written(tmp_path / "again").messages} == {"t_0", "t_2"}


def test_a_second_erasure_finds_nothing(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL)
    root, erasure = LocalStorage(tmp_path), Erasure((ANA,))
    assert preview(root, erasure)["rows in files"] > 0
    erase(root, erasure)
    assert preview(root, erasure) == {"conversations": 0, "rows in files": 0}
    manifest = (tmp_path / WINDOW / "_manifest.json").read_bytes()
    told = json.loads(Path(erase(root, erasure)).read_bytes())
    assert told["erased"]["files"] == {"windows": 0, "rows": {}}
    assert (tmp_path / WINDOW / "_manifest.json").read_bytes() == manifest


def test_checkpoints_and_unlisted_parts_go(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("190", after_calls=4))
    with pytest.raises(GraphError):
        extract(server, tmp_path / WINDOW, until=UNTIL, sizes=Sizes(1, 2), rows_per_part=3)
    assert traces(tmp_path)
    erase(LocalStorage(tmp_path), Erasure((ANA,)))
    assert traces(tmp_path) == set()


def test_a_window_of_that_person_alone_goes_whole(server: EmulatorServer, tmp_path: Path) -> None:
    narrowed = WINDOW.replace("window=", f"user_id={ANA}/window=")
    extract(server, tmp_path / narrowed, until=UNTIL, user_id=ANA)
    extract(server, tmp_path / WINDOW, until=UNTIL)
    erase(LocalStorage(tmp_path), Erasure((ANA,)))
    assert traces(tmp_path) == set()
    assert len(written(tmp_path / WINDOW).messages) == 12


def test_an_extraction_that_began_before_does_not_commit(server: EmulatorServer, tmp_path: Path) -> None:
    root = LocalStorage(tmp_path)
    before = read_suppressed(root)
    change_suppressed(root, lambda found: found.with_people([ANA], Scope.CONVERSATION))
    with pytest.raises(SuppressionChangedError, match="run it again"):
        extract(server, tmp_path / WINDOW, until=UNTIL, suppressed=before, suppressed_in=root)
    assert not (tmp_path / WINDOW / "_manifest.json").exists()
    extract(server, tmp_path / WINDOW, until=UNTIL, suppressed=read_suppressed(root), suppressed_in=root)
    assert {row["conversation_id"] for row in written(tmp_path / WINDOW).messages} == {"t_1", "t_2"}


def test_while_a_window_is_written_nothing_is_half_erased(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL)
    with LocalStorage(tmp_path / WINDOW).lock(), pytest.raises(StorageError, match="another task is writing"):
        erase(LocalStorage(tmp_path), Erasure((ANA,)))
    erase(LocalStorage(tmp_path), Erasure((ANA,)))
    assert traces(tmp_path) == set()


def test_pseudonyms_of_another_key_are_refused(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / WINDOW, until=UNTIL, privacy=privacy("metadata"))
    for key in (None, Pseudonyms("o" * 32)):
        with pytest.raises(PolicyError, match=f"pseudonyms of the key {PSEUDONYMS.key_id}: set privacy_conn_id"):
            erase(LocalStorage(tmp_path), Erasure((ANA,), pseudonyms=key))
    assert not (tmp_path / "_suppressed.json").exists()
