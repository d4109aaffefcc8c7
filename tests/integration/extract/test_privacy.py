"""Under a policy, no file, checkpoint or log line of any attempt has what the policy hides."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.emulator.settings import DEFAULT_NOW
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files.errors import PolicyChangedError
from airflow_provider_metaconv.files.manifest import CHECKPOINT_NAME
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.privacy.policy import PrivacyPolicy
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.privacy.scrubber import built_in
from tests.integration.extract.extraction import extract, written
from tests.integration.extract.personal_data import leaks, personal_data

KEY = "k" * 32
UNTIL = DEFAULT_NOW + timedelta(days=1)
ALWAYS_HIDDEN = ("person", "name", "link", "object")
HIDDEN = {"pseudonymous": ALWAYS_HIDDEN, "metadata": (*ALWAYS_HIDDEN, "conversation", "message", "text")}
SMALL_PAGES = Sizes(5, 3)


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(WorldSettings(seed=3, pages=1, messages=400))


@pytest.fixture(scope="module")
def hidden(world: World) -> dict[str, set[str]]:
    return personal_data(world)


@pytest.fixture
def server(world: World) -> Iterator[EmulatorServer]:
    with EmulatorServer(world) as server:
        yield server


def under(policy: str | dict[str, str], key: str = KEY) -> RowPrivacy:
    return RowPrivacy(PrivacyPolicy.parse(policy), Pseudonyms(key), built_in())


@pytest.mark.parametrize("platform", ["MESSENGER", "INSTAGRAM"])
@pytest.mark.parametrize("policy", HIDDEN)
def test_no_attempt_stores_or_logs_what_is_hidden(
    server: EmulatorServer, hidden: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, policy: str, platform: str
) -> None:
    folder, attempts = tmp_path / "window", 0
    with caplog.at_level(logging.INFO, logger="airflow_provider_metaconv"):
        while not (folder / "_manifest.json").exists():
            attempts += 1
            assert attempts < 60
            server.clear_faults()
            server.add_fault(Fault("190", after_calls=5))
            try:
                extract(server, folder, platform=platform, until=UNTIL, sizes=SMALL_PAGES, privacy=under(policy))
            except GraphError as error:
                (tmp_path / "errors.txt").write_text(repr(vars(error)) + str(error))
                assert (folder / CHECKPOINT_NAME).exists()
            (tmp_path / "log.txt").write_text(caplog.text)
            assert leaks(tmp_path, hidden, HIDDEN[policy]) == []
    assert attempts > 3
    assert written(folder).manifest["complete"] is True


def test_the_search_finds_everything_in_full_files(server: EmulatorServer, hidden: Any, tmp_path: Path) -> None:
    for platform in ("MESSENGER", "INSTAGRAM"):
        extract(server, tmp_path / platform, platform=platform, until=UNTIL)
    assert {kind for kind, _, _ in leaks(tmp_path, hidden, HIDDEN["metadata"])} == {*HIDDEN["metadata"]}


@pytest.mark.parametrize("policy", HIDDEN)
def test_an_error_about_a_conversation_names_nobody(
    server: EmulatorServer, world: World, hidden: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    thread = world.conversations("100", "MESSENGER")[2]
    words = f"{thread.customer['name']} ({thread.customer['id']}) has left {thread.id}"
    server.add_fault(Fault("poisoned_thread", thread_id=thread.id, alone=True, text=words, user_message=words))
    with caplog.at_level(logging.INFO, logger="airflow_provider_metaconv"):
        extract(server, tmp_path / "window", until=UNTIL, sizes=SMALL_PAGES, privacy=under(policy))
    (tmp_path / "log.txt").write_text(caplog.text)
    [gap] = [row for row in written(tmp_path / "window").gaps if row["status"] == "unreadable"]
    assert gap["reason_code"] == "refused"
    assert leaks(tmp_path, hidden, HIDDEN[policy]) == []


@pytest.mark.parametrize("platform", ["MESSENGER", "INSTAGRAM"])
@pytest.mark.parametrize("policy", HIDDEN)
def test_interrupted_or_not_the_rows_are_the_policy_of_full_rows(
    server: EmulatorServer, tmp_path: Path, policy: str, platform: str
) -> None:
    """Every message is there once, under its own pseudonym: an attempt that resumes knows what was read."""
    extract(server, tmp_path / "full", platform=platform, until=UNTIL)
    attempts = 0
    while not (tmp_path / "hidden" / "_manifest.json").exists():
        attempts += 1
        server.clear_faults()
        server.add_fault(Fault("190", after_calls=4))
        try:
            extract(
                server, tmp_path / "hidden", platform=platform, until=UNTIL, sizes=SMALL_PAGES, privacy=under(policy)
            )
        except GraphError:
            assert attempts < 80
    full, found = written(tmp_path / "full"), written(tmp_path / "hidden")
    some = under(policy)
    some.messages(full.messages)
    some.conversations(full.conversations)
    by_id = lambda row: (row["conversation_id"], row.get("message_id") or "")  # noqa: E731
    assert sorted(found.messages, key=by_id) == sorted(full.messages, key=by_id)
    assert sorted(found.conversations, key=by_id) == sorted(full.conversations, key=by_id)
    assert found.manifest["privacy"]["replaced"] == dict(sorted(some.replaced.items()))


def test_manifest_and_ledger_name_the_policy_and_the_key(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path, until=UNTIL, privacy=under("metadata"))
    found, key_id = written(tmp_path), Pseudonyms(KEY).key_id
    privacy = found.manifest["privacy"]
    assert (privacy["policy"], privacy["key_id"], privacy["treatments"]["text"]) == ("metadata", key_id, "drop")
    assert [(row["privacy_policy"], row["privacy_key_id"]) for row in found.windows] == [("metadata", key_id)]


@pytest.mark.parametrize(
    "changed", [under("metadata"), under("pseudonymous", "o" * 32), RowPrivacy()], ids=["policy", "key", "full"]
)
def test_files_of_another_policy_or_key_are_replaced_only_on_request(
    server: EmulatorServer, tmp_path: Path, changed: RowPrivacy
) -> None:
    extract(server, tmp_path, until=UNTIL, privacy=under("pseudonymous"))
    before, calls = written(tmp_path).manifest, server.statistics()["calls"]
    with pytest.raises(PolicyChangedError, match="set allow_policy_change=True to replace its files"):
        extract(server, tmp_path, until=UNTIL, privacy=changed)
    assert written(tmp_path).manifest == before
    # Only the Page itself was asked for.
    assert server.statistics()["calls"] == calls + 1
    extract(server, tmp_path, until=UNTIL, privacy=changed, allow_policy_change=True)
    assert written(tmp_path).manifest["privacy"]["policy"] == changed.policy.name
    assert len(written(tmp_path).messages) == before["stats"]["messages"]


def test_rows_of_the_earlier_policy_do_not_return(server: EmulatorServer, hidden: Any, tmp_path: Path) -> None:
    """A reading with gaps keeps the better rows of an earlier one, but not those of another policy."""
    extract(server, tmp_path, until=UNTIL)
    server.add_fault(Fault("100/33", route="messages"))
    extract(server, tmp_path, until=UNTIL, sizes=SMALL_PAGES, privacy=under("metadata"), allow_policy_change=True)
    assert leaks(tmp_path, hidden, HIDDEN["metadata"]) == []


def test_a_checkpoint_of_another_key_is_not_used(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("190", after_calls=6))
    with pytest.raises(GraphError):
        extract(server, tmp_path, until=UNTIL, sizes=SMALL_PAGES, privacy=under("metadata"))
    server.clear_faults()
    extract(server, tmp_path, until=UNTIL, privacy=under("metadata", "o" * 32))
    found = written(tmp_path)
    assert found.manifest["stats"]["attempts"] == 1
    assert len({row["message_id"] for row in found.messages}) == len(found.messages)
