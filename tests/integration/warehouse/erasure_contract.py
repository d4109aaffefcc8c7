"""What every warehouse guarantees about erasing people; both scopes run on the same rows."""

import pytest

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import CONVERSATION_GAPS, CONVERSATIONS, EXTRACTION_WINDOWS, TABLES
from tests.integration.warehouse.warehouse_contract import at, conversation, counts, gap, message, window

ANN = "7'\"\\`; DROP TABLE messages; -- $x %s {y} ?"
PIA = "0883d98b4fe6703bb42c59202c9571ae"
ERASED = (ANN, PIA)
BOB, PAGE = {"id": "77", "name": "Bob"}, {"id": "100", "name": "Café"}
OWN, WHOLE = Scope.OWN, Scope.CONVERSATION
HASHED = {"privacy_policy": "metadata", "privacy_key_id": "0123"}


def user(person):
    return {"id": person, "name": f"name of {person}"} if person == ANN else {"id": person}


def thread(person):
    return f"t_{person}"


def love(*users):
    return {"reaction": "love", "users": list(users)}


def rows_of_a_person(person):
    """Messages by what they are for the person, in their own conversation, a group, and somebody else's."""
    them, own = user(person), {"conversation_id": thread(person)}
    group, other = {"conversation_id": "t_group"}, {"conversation_id": "t_other"}
    sent = {"sender_id": person, "sender_name": f"name of {person}", "recipients": [PAGE]}
    answer, by_bob = {"sender_id": "100"}, {"sender_id": "77", "recipients": [PAGE]}
    wow = {"reaction": "wow", "users": {"data": [them, BOB]}}
    messages = {
        "sent": own | sent | {"text": "secret", "created_time": at(9)},
        "answer": own | answer | {"recipients": [them]},
        "reacted": own | answer | {"reactions": [love(them), wow]},
        "group": group | by_bob | {"recipients": [PAGE, them]},
        "group sent": group | sent | {"created_time": at(13)},
        "other": other | by_bob | {"reactions": [love(them)]},
        "other sent": other | sent | {"created_time": at(8)},
    }
    return {f"{name} {person}": message(f"{name} {person}", **values) for name, values in messages.items()}


def files_of_the_world(files):
    own_gap = {"window_id": "begin_1", "window_until": at(20)}
    messages = [row for person in ERASED for row in rows_of_a_person(person).values()]
    by_bob = {"sender_id": "77", "recipients": [PAGE], "reactions": [love(BOB)]}
    messages.append(message("bob", conversation_id="t_other", **by_bob, extra={"seen": {"by": [BOB, {"id": PIA}]}}))
    messages.append(message("bob too", conversation_id="t_other", **by_bob, extra={"seen": {"by": [BOB]}}))
    threads = [
        *(conversation(conversation_id=thread(person), participants=[user(person), PAGE]) for person in ERASED),
        conversation("group", participants=[BOB, *map(user, ERASED), PAGE]),
        conversation(
            "other",
            participants=[BOB, PAGE],
            oldest_message_time=at(8),
            newest_message_time=at(12),
            extra={"link": f"/u/{PIA}/"},
        ),
    ]
    gaps = [
        *(gap(conversation_id=thread(person), **own_gap) for person in ERASED),
        *(gap("refused", user_id=person, **own_gap) for person in ERASED),
        gap("other", **own_gap),
    ]
    windows = [window(1), window(2, **HASHED), *(window(1, user_id=person) for person in ERASED)]
    tables = {CONVERSATIONS: threads, CONVERSATION_GAPS: gaps, EXTRACTION_WINDOWS: windows}
    return [files(*messages), *(files(*rows, table=table) for table, rows in tables.items())]


class ErasureContract:
    @pytest.fixture
    def warehouse_without_tables(self, warehouse):
        return warehouse

    @pytest.fixture
    def world(self, mixing_warehouse, files, read_rows):
        """The open warehouse with rows of four people, and a function that returns all rows by table and ID."""

        def rows():
            return {
                table.name: {tuple(row[name] for name in table.key[2:]): row for row in read_rows(table.name)}
                for table in TABLES
            }

        with mixing_warehouse() as warehouse:
            warehouse.load(files_of_the_world(files))
            yield warehouse, rows

    def test_whole_conversations_are_erased(self, world):
        warehouse, rows = world
        before, conversations = rows(), [thread(person) for person in ERASED]
        assert warehouse.conversations_of([ANN]) == {thread(ANN), "t_group", "t_other", "t_refused"}
        # Not those in which he only reacts to somebody else's message.
        assert warehouse.conversations_of(["77"]) == {"t_group", "t_other"}
        expected = {name: dict(held) for name, held in before.items()}
        for person in ERASED:
            for name in ("sent", "answer", "reacted", "group", "group sent", "other sent"):
                del expected["messages"][f"m_{name} {person}",]
            expected["messages"][f"m_other {person}",] |= {"reactions": None}
            del expected["conversations"][thread(person),]
            del expected["conversation_gaps"]["", "", "begin_1", thread(person)]
            del expected["conversation_gaps"]["", person, "begin_1", "t_refused"]
            del expected["extraction_windows"]["", person, "begin_1"]
        del expected["conversations"]["t_group",]
        self._other_lost_messages(expected)
        self._check(world, conversations, WHOLE, expected, counts(messages=15, conversations=4, conversation_gaps=4))

    def test_only_their_own_messages_are_erased(self, world):
        warehouse, rows = world
        assert warehouse.policies() == {("full", ""), ("metadata", "0123")}
        expected = {name: dict(held) for name, held in rows().items()}
        for person in ERASED:
            for name in ("sent", "group sent", "other sent"):
                del expected["messages"][f"m_{name} {person}",]
            wow = {"reaction": "wow", "users": {"data": [BOB]}}
            changes = {
                "answer": {"recipients": None},
                "reacted": {"reactions": [wow]},
                "group": {"recipients": [PAGE]},
                "other": {"reactions": None},
            }
            for name, change in changes.items():
                expected["messages"][f"m_{name} {person}",] |= change
            times = {"oldest_message_time": at(12), "newest_message_time": at(12)}
            expected["conversations"][thread(person),] |= times | {"participants": [PAGE], "messages_extracted": 2}
            read = {"messages_known": 2, "messages_extracted": 2}
            expected["conversation_gaps"]["", "", "begin_1", thread(person)] |= read
            del expected["conversation_gaps"]["", person, "begin_1", "t_refused"]
            del expected["extraction_windows"]["", person, "begin_1"]
        times = {"oldest_message_time": at(12), "newest_message_time": at(12)}
        expected["conversations"]["t_group",] |= times | {"participants": [BOB, PAGE], "messages_extracted": 2}
        self._other_lost_messages(expected)
        ignored = ["t_other"]
        self._check(world, ignored, OWN, expected, counts(messages=15, conversations=4, conversation_gaps=2))

    def test_without_tables_there_is_nobody_to_erase(self, warehouse_without_tables):
        warehouse = warehouse_without_tables
        assert warehouse.remaining([ANN], ["t_1"], WHOLE) == warehouse.erase([ANN], ["t_1"], WHOLE) == counts()
        assert warehouse.conversations_of([ANN]) == warehouse.policies() == frozenset()

    def test_limits_are_whole_sentences(self, warehouse_without_tables):
        limits = warehouse_without_tables.limits()
        assert [(each[0].isupper(), each[-1], each.count("\n")) for each in limits] == [(True, ".", 0)] * len(limits)

    @staticmethod
    def _other_lost_messages(expected):
        """What is derived from the messages of t_other, which loses one of each person, and their traces in it."""
        read = {"messages_known": 4, "messages_extracted": 4}
        expected["conversation_gaps"]["", "", "begin_1", "t_other"] |= read
        times = {"oldest_message_time": at(12), "newest_message_time": at(12)}
        expected["conversations"]["t_other",] |= times | {"messages_extracted": 4, "extra": None}
        expected["messages"]["m_bob",] |= {"extra": None}

    @staticmethod
    def _check(world, conversations, scope, expected, found):
        warehouse, rows = world
        before, found = rows(), found | {"extraction_windows": 2}
        # The windows of everybody have an empty ID.
        assert warehouse.erase(["", "7", "unknown"], [""], scope) == counts()
        assert rows() == before
        assert warehouse.remaining(ERASED, conversations, scope) == found
        assert warehouse.erase(ERASED, conversations, scope) == found
        assert rows() == expected
        assert warehouse.remaining(ERASED, conversations, scope) == counts()
        assert warehouse.erase(ERASED, conversations, scope) == counts()
        assert warehouse.conversations_of(ERASED) == frozenset()
        assert rows() == expected
