"""Extra fields are plain names, of fields without a column."""

from __future__ import annotations

import pytest

from airflow_provider_metaconv.extract.extra_fields import MOST_EXTRA_FIELDS, NO_EXTRA_FIELDS, ExtraFields
from airflow_provider_metaconv.extract.requests import Fields
from airflow_provider_metaconv.schema import CONVERSATIONS, INSTAGRAM, MESSAGES, MESSENGER

EXTRA = ExtraFields(("thread_id",), ("is_owner", "tags"))
NO_FIELD = "(#100) Tried accessing nonexisting field ({}) on node type ({})"


def test_the_prefix_tells_fields_of_conversations_from_those_of_messages() -> None:
    parsed = ExtraFields.parse(["thread_id", "conversations.tags", "conversations.is_owner", "thread_id"])
    assert parsed == ExtraFields(("thread_id",), ("tags", "is_owner"))
    assert parsed.names == ["conversations.is_owner", "conversations.tags", "thread_id"]
    assert ExtraFields.parse([]) == NO_EXTRA_FIELDS


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("is_owner", "must be a list of names of Graph fields"),
        ({"is_owner": 1}, "must be a list"),
        ([1], "must be a list"),
        (None, "must be a list"),
        (["a"] * (MOST_EXTRA_FIELDS + 1), "must not have more than 20 fields"),
        (["replies.limit(100){id}"], "must have only plain names"),
        (["from{email}"], "must have only plain names"),
        (["a,b"], "must have only plain names"),
        (["a&access_token=x"], "must have only plain names"),
        (["{{ var.value.x }}"], "must have only plain names"),
        (["pages.name"], "must have only plain names"),
        (["conversations."], "must have only plain names"),
        (["é"], "must have only plain names"),
        ([""], "must have only plain names"),
        (["snippet"], "must not have snippet: it repeats the text of the newest message"),
        (["conversations.snippet"], "must not have snippet"),
        (["message"], "must not have message, which is read anyway"),
        (["conversations.messages"], "must not have messages, which is read anyway"),
        (["conversations.folder"], "must not have folder"),
        (["conversations.participants"], "must not have participants"),
        (["unread_count"], "must have conversations.unread_count instead of unread_count"),
    ],
)
def test_anything_else_is_refused_in_one_line(setting: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        ExtraFields.parse(setting)
    assert "\n" not in str(caught.value)


def test_a_field_with_a_column_on_one_platform_is_extra_on_the_other() -> None:
    parsed = ExtraFields.parse(["sticker", "conversations.unread_count"])
    assert parsed.on(MESSENGER) == NO_EXTRA_FIELDS
    assert parsed.on(INSTAGRAM) == parsed


def test_extra_fields_are_requested_after_those_of_the_columns() -> None:
    fields = Fields(MESSENGER, [], extra=EXTRA)
    assert fields.of(MESSAGES)[-1] == "thread_id"
    assert fields.of(CONVERSATIONS)[-2:] == ("is_owner", "tags")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (NO_FIELD.format("tags", "UnifiedMessage"), ["tags"]),
        (NO_FIELD.format("tags", "UnifiedThread"), ["conversations.tags"]),
        (NO_FIELD.format("tags", "IGMessage"), ["tags"]),
        ("(#12) tags field is deprecated for versions v2.4 and higher", ["conversations.tags", "tags"]),
        (NO_FIELD.format("link", "UnifiedThread"), ["link"]),
        (NO_FIELD.format("link", "MessageShare"), ["shares"]),
        (NO_FIELD.format("can_reply", "Something"), ["can_reply"]),
        (NO_FIELD.format("thread_id", "UnifiedMessage"), ["thread_id"]),
        ("(#10) Not enough permission to access field 'unread_count'", ["unread_count"]),
        (NO_FIELD.format("email", "User"), []),
        ("(#100) Invalid parameter", []),
        *((NO_FIELD.format(name, "UnifiedMessage"), []) for name in ("id", "created_time", "from", "to", "message")),
        (NO_FIELD.format("updated_time", "UnifiedThread"), []),
        ("(#12) message field needs the permission (tags)", []),
    ],
)
def test_a_refusal_names_the_optional_field_of_the_right_node(text: str, named: list[str]) -> None:
    assert Fields(MESSENGER, [], extra=EXTRA).named_in(text) == named


def test_a_refused_field_is_left_out_of_its_own_node_only() -> None:
    fields = Fields(MESSENGER, ["conversations.tags"], extra=EXTRA)
    assert "tags" in fields.of(MESSAGES)
    assert "tags" not in fields.of(CONVERSATIONS)
