"""Policies are validated, named alike if they mean the same, and refused if they leak."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from airflow_provider_metaconv.privacy.policy import BUILT_IN, PolicyError, PrivacyPolicy, Treatment
from airflow_provider_metaconv.schema import TABLES, ColumnType, Sensitivity

TEXT_DROPPED = b'{"text": "drop"}'
PEOPLE = {"sender_id": "hash", "recipients": "hash", "participants": "hash", "reactions": "hash", "sender_name": "drop"}


def refused(setting: object) -> str:
    with pytest.raises(PolicyError) as caught:
        PrivacyPolicy.parse(setting)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_named_policy_passes_its_own_validation(name: str) -> None:
    treatments: dict[str, str] = {column: treatment.value for column, treatment in BUILT_IN[name].items()}
    assert PrivacyPolicy.parse(treatments) == PrivacyPolicy.parse(name)


def test_only_full_keeps_every_column() -> None:
    assert [name for name in BUILT_IN if PrivacyPolicy.parse(name).is_full] == ["full"]
    assert PrivacyPolicy.parse({"text": "keep"}).name == "full"


def test_settings_that_treat_all_columns_alike_are_one_policy() -> None:
    one = PrivacyPolicy.parse({"text": "drop", "sticker": "drop"})
    other = PrivacyPolicy.parse({"sticker": "drop", "text": "drop", "shares": "keep"})
    assert one == other
    assert one.name.startswith("custom-")
    assert one.name != PrivacyPolicy.parse({"text": "scrub", "sticker": "drop"}).name


@pytest.mark.parametrize(
    "setting", ["Full", "", "none", None, 1, ["full"], {"text": "hide"}, {"text": None}, {"text": 1}]
)
def test_anything_else_is_refused(setting: object) -> None:
    assert "privacy" in refused(setting)


def test_an_unknown_column_is_refused_without_being_quoted() -> None:
    assert refused({"texts": "drop"}).startswith("privacy names a column that no table has: use ")
    assert "texts" not in refused({"texts": "drop"})


@pytest.mark.parametrize(
    ("column", "treatment"),
    [
        ("message_id", "drop"),
        ("conversation_id", "drop"),
        ("created_time", "drop"),
        ("sender_id", "scrub"),
        ("sender_name", "hash"),
        ("text", "hash"),
        ("direction", "hash"),
    ],
)
def test_a_treatment_that_makes_no_sense_is_refused(column: str, treatment: str) -> None:
    assert refused({column: treatment}).startswith(f"privacy of {column} must be keep")


@pytest.mark.parametrize("shown", ["recipients", "participants", "reactions", "sender_id"])
def test_an_id_that_is_hashed_in_one_column_is_shown_in_no_other(shown: str) -> None:
    setting = {**PEOPLE, shown: "keep"}
    assert f"but {shown} would show the same IDs of people: hash it too" in refused(setting)


def test_a_message_id_is_not_shown_by_a_reply() -> None:
    assert "but reply_to would show the same message IDs" in refused({"message_id": "hash"})
    assert "but message_id would show the same message IDs" in refused({"reply_to": "hash"})
    PrivacyPolicy.parse({"message_id": "hash", "reply_to": "drop"})


def test_hashed_people_are_not_named() -> None:
    assert "but sender_name would name the same people: drop it" in refused({**PEOPLE, "sender_name": "keep"})


def test_a_dropped_name_is_shown_in_no_other_column() -> None:
    message = refused({"sender_name": "drop"})
    assert "but recipients, reactions, participants would show the same names: hash or drop it" in message


def test_the_person_whose_conversation_is_read_is_hashed_like_the_others() -> None:
    assert PrivacyPolicy.parse(PEOPLE).of("user_id") is Treatment.HASH
    assert "but user_id would show the same IDs" in refused({**PEOPLE, "user_id": "keep"})


def test_a_column_that_is_not_needed_may_be_dropped_alone() -> None:
    for column in ("text", "recipients", "attachments", "shares", "story", "sticker", "reply_to"):
        assert PrivacyPolicy.parse({column: "drop"}).of(column) is Treatment.DROP


def test_every_column_that_comes_from_graph_says_what_it_reveals() -> None:
    """A new column is classified, or nobody notices that it names people."""
    harmless = {"created_time", "direction", "tags", "content_status", "updated_time", "message_count"}
    harmless |= {"unread_count", "can_reply", "is_subscribed"}
    unclassified = {
        column.name
        for table in TABLES
        for column in table.columns
        if column.graph_field and column.sensitivity is Sensitivity.NONE
    }
    assert unclassified == harmless


def test_every_json_column_is_classified_by_position() -> None:
    flat: set[Any] = {
        column.name
        for table in TABLES
        for column in table.columns
        if column.type is ColumnType.JSON and isinstance(column.sensitivity, Sensitivity)
    }
    assert flat == {"tags", "left_out_fields", "extra"}


def test_what_is_dropped_is_not_even_requested() -> None:
    assert PrivacyPolicy.parse("full").dropped_fields == frozenset()
    assert PrivacyPolicy.parse("pseudonymous").dropped_fields == {"sticker", "link"}
    metadata = PrivacyPolicy.parse("metadata").dropped_fields
    assert {field.partition("{")[0] for field in metadata} == {"message", "shares", "sticker", "link"}


@pytest.mark.parametrize("name", ["pseudonymous", "metadata"])
def test_a_named_policy_drops_what_can_show_anything(name: str) -> None:
    policy = PrivacyPolicy.parse(name)
    assert [policy.of(column) for column in ("link", "extra")] == [Treatment.DROP, Treatment.DROP]


def test_a_policy_of_an_earlier_release_drops_extra_fields_and_keeps_its_name() -> None:
    policy = PrivacyPolicy.parse({"text": "drop"})
    assert (policy.of("extra"), policy.of("link")) == (Treatment.DROP, Treatment.KEEP)
    assert policy.name == f"custom-{hashlib.sha256(TEXT_DROPPED).hexdigest()[:8]}"
    assert policy == PrivacyPolicy.parse({"text": "drop", "extra": "drop"})
    assert policy.name != PrivacyPolicy.parse({"text": "drop", "extra": "keep"}).name


def test_extra_fields_and_links_show_nobody_who_is_hashed() -> None:
    policy = PrivacyPolicy.parse({"conversation_id": "hash"})
    assert (policy.of("extra"), policy.of("link")) == (Treatment.DROP, Treatment.DROP)
    assert "but extra can show who it is: drop extra" in refused({**PEOPLE, "extra": "keep"})
    assert "but link can show who it is: drop link" in refused({"conversation_id": "hash", "link": "keep"})


def test_full_keeps_extra_fields() -> None:
    assert PrivacyPolicy.parse("full").of("extra") is Treatment.KEEP
    assert PrivacyPolicy.parse({"text": "keep"}).of("extra") is Treatment.KEEP
