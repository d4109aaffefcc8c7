"""DuckDB: to erase people is the same as never to have had them, for any rows."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import without_people
from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.warehouse.test_duckdb import whole_rows_in
from tests.integration.warehouse.warehouse_contract import AVAILABLE, UNAVAILABLE, Files, at, conversation, gap, message
from tests.integration.warehouse.warehouse_contract import window as window_row
from tests.thoroughness import IS_THOROUGH

PEOPLE = ("1", "2", "11", "'\"\\", "é", "0883d98b4fe6703bb42c59202c9571ae")
HOURS = st.integers(1, 20)
EXTRACTED = {"extracted_time": "2026-11-21T00:00:00+00:00"}

people = st.sampled_from(PEOPLE)
threads = st.sampled_from(["t_1", "t_2", "t'3"])
users = st.lists(people.map(lambda person: {"id": person}), max_size=3)
reactions = st.lists(
    st.fixed_dictionaries(
        {"reaction": st.sampled_from(["love", "wow"])},
        optional={"users": users.filter(bool) | users.filter(bool).map(lambda found: {"data": found})},
    ),
    max_size=3,
)
empty = st.none()
message_values = st.fixed_dictionaries(
    {
        "conversation_id": threads,
        "created_time": HOURS.map(at),
        "sender_id": empty | people,
        "recipients": empty | users.filter(bool),
        "reactions": empty | reactions.filter(bool),
        "content_status": st.sampled_from([AVAILABLE, UNAVAILABLE]),
    }
)


@st.composite
def worlds(draw):
    """Rows of all tables by name. The conversations' times are those of their messages."""
    values = draw(st.lists(message_values, max_size=8))
    messages = [message(number, **EXTRACTED, **each) for number, each in enumerate(values)]
    names = sorted({row["conversation_id"] for row in messages})
    listed = [
        conversation(conversation_id=name, participants=draw(empty | users.filter(bool)), **EXTRACTED) for name in names
    ]
    user_ids = draw(st.lists(st.sampled_from(["", *PEOPLE]), unique=True, max_size=3))
    windows = [window_row(1, user_id=user_id, **EXTRACTED) for user_id in user_ids]
    places = (
        draw(st.lists(st.tuples(st.sampled_from(["", *PEOPLE]), st.sampled_from(names)), unique=True, max_size=3))
        if names
        else []
    )
    gaps = [
        gap(user_id=user_id, conversation_id=name, window_id="other", window_until=at(11), **EXTRACTED)
        for user_id, name in places
    ]
    return dict(zip((table.name for table in TABLES), (messages, listed, gaps, windows), strict=True))


def without(world, erased, conversations, scope):
    """The world without these people."""
    whole = scope is Scope.CONVERSATION
    deleted = set(conversations) if whole else set()

    def names_one(value):
        return value is not None and without_people(value, erased) != value

    messages = [
        row | {name: without_people(row[name], erased) for name in ("recipients", "reactions")}
        for row in world["messages"]
        if row["sender_id"] not in erased and row["conversation_id"] not in deleted
        if not (whole and names_one(row["recipients"]))
    ]
    listed = [
        row | {"participants": without_people(row["participants"], erased)}
        for row in world["conversations"]
        if row["conversation_id"] not in deleted and not (whole and names_one(row["participants"]))
    ]
    gaps = [
        row
        for row in world["conversation_gaps"]
        if row["user_id"] not in erased and row["conversation_id"] not in deleted
    ]
    windows = [row for row in world["extraction_windows"] if row["user_id"] not in erased]
    return {"messages": messages, "conversations": listed, "conversation_gaps": gaps, "extraction_windows": windows}


def with_times(world):
    """The world with the time range of each conversation's messages, as an extraction of everything finds it."""
    times: dict[str, list[str]] = {}
    for row in world["messages"]:
        times.setdefault(row["conversation_id"], []).append(row["created_time"])

    def of(name, choose):
        return choose(times[name]) if name in times else None

    listed = [
        row
        | {
            "oldest_message_time": of(row["conversation_id"], min),
            "newest_message_time": of(row["conversation_id"], max),
        }
        for row in world["conversations"]
    ]
    return world | {"conversations": listed}


def loaded(folder, name, world):
    """Rows of all tables after a load of this world, and its warehouse's path."""
    path, write = folder / f"{name}.duckdb", Files(folder)
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([write(*world[table.name], table=table) for table in TABLES])
    return path


@settings(max_examples=50 if IS_THOROUGH else 8)
@given(worlds(), st.sets(people, min_size=1, max_size=2), st.sets(threads, max_size=2), st.sampled_from(Scope))
def test_erasing_is_like_never_having_loaded(world, erased, conversations, scope):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = loaded(folder, "erased", with_times(world))
        with DuckDBWarehouse(path) as warehouse:
            found = warehouse.remaining(erased, conversations, scope)
            assert warehouse.erase(erased, conversations, scope) == found
            assert set(warehouse.remaining(erased, conversations, scope).values()) == {0}
        expected = loaded(folder, "expected", with_times(without(world, erased, conversations, scope)))
        for table in TABLES:
            assert whole_rows_in(path, table.name) == whole_rows_in(expected, table.name)
