"""What a policy leaves of a row: nothing that it hides, in no shape that Meta may send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.extract.rows import ExtractionContext, message_row
from airflow_provider_metaconv.privacy.policy import PolicyError, PrivacyPolicy
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.privacy.scrubber import built_in
from airflow_provider_metaconv.window import Window

KEY = "k" * 32
ANA, PAGE = "24681357", "100"
UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
WINDOW = Window.parse(None, UNTIL, now=UNTIL)
CONTEXT = ExtractionContext("MESSENGER", PAGE, frozenset({PAGE}), WINDOW)
NODE: dict[str, Any] = {
    "from": {"id": ANA, "name": "Ana Example", "email": "24681357@facebook.com"},
    "to": {"data": [{"id": PAGE, "name": "Example Page"}]},
    "message": "write to ana@example.com",
    "attachments": {
        "data": [
            {
                "id": "6511",
                "mime_type": "image/jpeg",
                "name": "ana-in-paris.jpg",
                "size": 7,
                "image_data": {"width": 4, "url": "https://cdn.example/ana.jpg", "owner": "Ana"},
                "file_url": "https://cdn.example/ana",
                "generic_template": {"title": "call 600123456", "cta": {"url": "https://x.example/ana"}},
                "new_field": {"of": "Ana"},
            }
        ]
    },
    "shares": {"data": [{"link": "https://example.com/ana", "name": "ana@example.com", "template": {"id": ANA}}]},
    "story": {"mention": {"link": "https://cdn.example/story", "id": "777"}},
    "reactions": {"data": [{"reaction": "love", "users": [{"id": ANA, "username": "ana"}]}]},
    "reply_to": {"mid": "m_0", "is_self_reply": False},
    "sticker": "https://cdn.example/sticker",
}


def privacy(policy: object) -> RowPrivacy:
    return RowPrivacy(PrivacyPolicy.parse(policy), Pseudonyms(KEY), built_in())


def stored(policy: object, node: dict[str, Any] = NODE, conversation_id: str = "t_1") -> dict[str, Any]:
    row = message_row(node, CONTEXT, conversation_id, "m_1", "2026-11-19T00:00:00+00:00")
    privacy(policy).messages([row])
    return row


def of(identifier: str) -> str:
    return Pseudonyms(KEY).of(identifier)


def test_full_changes_nothing() -> None:
    assert stored("full") == message_row(NODE, CONTEXT, "t_1", "m_1", "2026-11-19T00:00:00+00:00")


def test_pseudonymous_hashes_people_and_scrubs_text() -> None:
    row = stored("pseudonymous")
    assert (row["sender_id"], row["sender_name"], row["text"]) == (of(ANA), None, "write to [email]")
    assert row["recipients"] == [{"id": of(PAGE)}]
    assert row["reactions"] == [{"reaction": "love", "users": [{"id": of(ANA)}]}]
    assert row["attachments"] == [
        {
            "id": of("6511"),
            "mime_type": "image/jpeg",
            "size": 7,
            "image_data": {"width": 4},
            "generic_template": {"title": "call [number]"},
        }
    ]
    assert row["shares"] == [{"name": "[email]"}]
    assert row["story"] == {"mention": {"id": of("777")}}
    assert (row["conversation_id"], row["message_id"], row["reply_to"]) == ("t_1", "m_1", NODE["reply_to"])
    assert row["sticker"] is None


def test_metadata_has_no_content_and_hashes_every_id() -> None:
    row = stored("metadata")
    assert [row[name] for name in ("sender_name", "text", "shares", "sticker")] == [None] * 4
    assert (row["conversation_id"], row["message_id"]) == (of("t_1"), of("m_1"))
    assert row["reply_to"] == {"mid": of("m_0"), "is_self_reply": False}
    assert (row["direction"], row["created_time"]) == ("inbound", "2026-11-19T00:00:00+00:00")


def test_what_was_replaced_is_counted() -> None:
    some = privacy("pseudonymous")
    some.messages([message_row(NODE, CONTEXT, "t_1", f"m_{n}", "2026-11-19T00:00:00+00:00") for n in range(2)])
    assert some.replaced == {"email": 4, "number": 2}


@pytest.mark.parametrize("policy", ["pseudonymous", "metadata"])
@pytest.mark.parametrize("value", ["Ana", 1, None, ["Ana"], {"Ana": "Ana"}, [["Ana"]], [{"data": [{"name": "Ana"}]}]])
@pytest.mark.parametrize("field", ["attachments", "shares", "story", "reactions", "reply_to", "to", "from"])
def test_a_shape_that_is_not_documented_is_dropped(policy: str, field: str, value: Any) -> None:
    row = stored(policy, {"message": "hi", field: value})
    assert "Ana" not in json.dumps({name: row[name] for name in row if name != "shares" or policy == "metadata"})


def test_a_key_is_needed_by_every_policy_but_full() -> None:
    RowPrivacy(PrivacyPolicy.parse("full"))
    for policy in ("pseudonymous", "metadata", {"text": "drop"}):
        with pytest.raises(PolicyError, match="privacy needs a key: set privacy_conn_id"):
            RowPrivacy(PrivacyPolicy.parse(policy), None, built_in())


def test_a_person_has_one_pseudonym_in_every_column() -> None:
    some, row = privacy("metadata"), stored("metadata")
    participant = {"participants": [{"id": ANA, "name": "Ana"}], "conversation_id": "t_1", "reason": None}
    some.conversations([participant])
    assert participant["participants"] == [{"id": row["sender_id"]}]
    assert some.person(ANA) == row["sender_id"]
    assert some.conversation("t_1") == row["conversation_id"] == participant["conversation_id"]


LEAVES = st.none() | st.booleans() | st.integers() | st.just("Ana Example") | st.just("24681357")
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "data", "users", "url", "image_data", "mention", "link", "x", "template"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["from", "to", "attachments", "shares", "story", "reactions", "reply_to", "sticker"]), JSON
    )
)
def test_whatever_meta_sends_no_name_and_no_id_of_a_person_is_stored(node: dict[str, Any]) -> None:
    for policy in ("pseudonymous", "metadata"):
        row = stored(policy, node)
        # The titles of shares are content, and so are scrubbed and not dropped.
        shown = json.dumps({name: value for name, value in row.items() if name != "shares"})
        assert "Ana" not in shown
        assert ANA not in shown
