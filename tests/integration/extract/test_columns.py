"""Columns that cost no call: what Meta says about a conversation, its folder, and extra fields."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import MessageSpec, ThreadSpec
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.graph.errors import FieldRefusedError, RateLimitError
from airflow_provider_metaconv.privacy.policy import PrivacyPolicy
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.privacy.scrubber import built_in
from tests.integration.extract.extraction import EXTRACTED
from tests.integration.extract.scene import MINUTE, UNTIL, Scene, scene, threads

FACTS = ("unread_count", "can_reply", "is_subscribed", "link", "folder", "folder_time", "extra")
NULLS = dict.fromkeys(FACTS)
FOLDERS = ("inbox", "page_done", "spam")
EXTRA = ("thread_id", "conversations.is_owner", "conversations.former_participants")


def in_folders(*folders: str) -> list[ThreadSpec]:
    """One conversation per folder, ``t_0``, ``t_1`` ...; the last message of every second one is the Page's."""
    return [
        ThreadSpec("MESSENGER", [MessageSpec(UNTIL - (n + 1) * MINUTE, from_page=n % 2 == 1)], f"t_{n}", folder)
        for n, folder in enumerate(folders)
    ]


def facts(page: Scene) -> dict[str, dict[str, Any]]:
    return {row["conversation_id"]: {name: row[name] for name in FACTS} for row in page.written.conversations}


def test_a_conversation_has_its_facts_and_its_folder(tmp_path: Path) -> None:
    with scene(tmp_path, in_folders(*FOLDERS)) as page:
        page.attempt(list_folders=FOLDERS)
        found = {"is_subscribed": True, "folder_time": EXTRACTED, "extra": None}
        assert facts(page) == {
            f"t_{n}": found | {"unread_count": int(n != 1), "can_reply": n != 2, "link": f"/100/inbox/{n + 1}/"} | place
            for n, place in enumerate({"folder": name} for name in FOLDERS)
        }


def test_without_a_named_folder_it_is_null(tmp_path: Path) -> None:
    with scene(tmp_path, in_folders("inbox")) as page:
        page.attempt()
        assert {(row["folder"], row["folder_time"]) for row in facts(page).values()} == {(None, None)}


def test_instagram_has_none_of_them_and_is_not_asked(tmp_path: Path) -> None:
    with scene(tmp_path, threads(2, platform="INSTAGRAM"), platform="INSTAGRAM") as page:
        page.add("100/field", match="unread_count|can_reply|is_subscribed|link%2Cmessages")
        page.attempt()
        assert list(facts(page).values()) == [NULLS, NULLS]
        assert page.errors == 0


def test_a_conversation_that_is_read_again_keeps_its_folder(tmp_path: Path) -> None:
    """Its row of the first attempt depends on a refusal, so the next attempt reads it anew, without a list."""
    with scene(tmp_path, threads(12, messages=6)) as page:
        page.add("1", match="t_0/messages", field="message", until_seconds=3_000)
        page.add("80006", route="conversations", after_calls=3, times=1, regain_minutes=60)
        assert isinstance(page.failing_attempt(sizes=Sizes(3, 2, 2), list_folders=["inbox"]), RateLimitError)
        page.clock.skip(3_700)
        before = page.calls_of("conversation")
        assert page.attempt(sizes=Sizes(3, 2, 2), list_folders=["inbox"]).complete
        assert page.calls_of("conversation") > before
        assert page.message_ids == page.ground_truth()
        assert {row["folder"] for row in facts(page).values()} == {"inbox"}


def test_extra_fields_share_a_column(tmp_path: Path) -> None:
    with scene(tmp_path, threads(2)) as page:
        page.attempt(extra_fields=EXTRA)
        assert {str(row["extra"]) for row in page.written.messages} == {"None"}
        assert [row["extra"] for row in facts(page).values()] == [
            {"is_owner": True, "former_participants": {"data": []}}
        ] * 2


def test_extra_fields_of_messages_are_those_of_their_own_node(tmp_path: Path) -> None:
    with scene(tmp_path, threads(1, platform="INSTAGRAM"), platform="INSTAGRAM") as page:
        page.attempt(extra_fields=EXTRA)
        assert [row["extra"] for row in page.written.messages] == [{"thread_id": "t_0"}] * 2


@pytest.mark.parametrize("policy", ["pseudonymous", "metadata"])
def test_a_policy_that_drops_extra_fields_does_not_request_them(tmp_path: Path, policy: str) -> None:
    with scene(tmp_path, threads(2)) as page:
        page.add("100/field", match="is_owner|former_participants|thread_id|%2Clink%2C")
        privacy = RowPrivacy(PrivacyPolicy.parse(policy), Pseudonyms("k" * 32), built_in())
        page.attempt(extra_fields=EXTRA, privacy=privacy)
        assert page.errors == 0
        assert {(row["link"], row["extra"]) for row in facts(page).values()} == {(None, None)}


def test_a_refused_extra_field_is_left_out_and_named_as_it_was_asked_for(tmp_path: Path) -> None:
    with scene(tmp_path, threads(2)) as page:
        page.add("100/field", field="is_owner")
        assert page.attempt(extra_fields=EXTRA).complete
        assert page.written.manifest["left_out_fields"] == ["conversations.is_owner"]
        assert [row["extra"] for row in facts(page).values()] == [{"former_participants": {"data": []}}] * 2


@pytest.mark.parametrize("kind", ["100/field", "10/field", "200/field"])
@pytest.mark.parametrize("field", ["unread_count", "can_reply", "is_subscribed"])
def test_a_refused_fact_is_null_and_costs_one_call(tmp_path: Path, field: str, kind: str) -> None:
    with scene(tmp_path, threads(3)) as page:
        page.attempt(folder=tmp_path / "other")
        calls = page.calls
        page.add(kind, field=field)
        assert page.attempt().complete
        assert page.calls == 2 * calls + 1
        assert page.message_ids == page.ground_truth()
        assert page.written.manifest["left_out_fields"] == [field]
        assert {row[field] for row in page.written.conversations} == {None}


@pytest.mark.parametrize("kind", ["100/field", "12"])
def test_a_name_that_shared_objects_have_too_is_left_out_of_both(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(3)) as page:
        page.add(kind, field="link")
        assert page.attempt().complete
        assert page.message_ids == page.ground_truth()
        assert page.written.manifest["left_out_fields"] == ["link", "shares"]


@pytest.mark.parametrize("kind", ["100/field", "12", "10/field"])
@pytest.mark.parametrize("field", ["message", "from", "to", "created_time"])
def test_without_a_required_field_nothing_is_complete(tmp_path: Path, field: str, kind: str) -> None:
    with scene(tmp_path, threads(3)) as page:
        page.add(kind, field=field)
        assert isinstance(page.failing_attempt(), FieldRefusedError)
        assert not page.has_manifest


def test_a_field_that_stays_refused_although_it_is_left_out_ends_the_attempt(tmp_path: Path) -> None:
    with scene(tmp_path, threads(3)) as page:
        page.add("100/field", route="conversations", text="(#100) Tried accessing nonexisting field (tags)")
        assert isinstance(page.failing_attempt(), FieldRefusedError)
        assert page.errors <= 12


def test_a_checkpoint_with_other_extra_fields_is_not_resumed(tmp_path: Path) -> None:
    with scene(tmp_path, threads(20)) as page:
        page.add("80006", route="conversations", after_calls=2, times=1)
        page.failing_attempt(sizes=Sizes(3, 3))
        page.clock.skip(3_700)
        page.attempt(sizes=Sizes(3, 3), extra_fields=EXTRA)
        assert {row["extra"] is None for row in page.written.conversations} == {False}


def test_columns_and_extra_fields_cost_no_call(tmp_path: Path) -> None:
    with scene(tmp_path, threads(90, messages=5)) as page:
        since = UNTIL - timedelta(hours=1)
        plain = [
            page.attempt(folder=tmp_path / f"plain{n}", since=start).calls for n, start in enumerate((None, since))
        ]
        more = [
            page.attempt(folder=tmp_path / f"more{n}", since=start, extra_fields=EXTRA).calls
            for n, start in enumerate((None, since))
        ]
        # As many as without any of these columns, in the release before.
        assert plain == more == [4, 2]
