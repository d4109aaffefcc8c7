"""A published result stays until one at least as good replaces it, whatever happens to a rerun."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import MessageSpec, ThreadSpec
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.files.storage.local import LocalStorage
from tests.integration.extract.extraction import extract
from tests.integration.extract.scene import MINUTE, UNTIL, Scene, scene, threads


def rows_of(page: Scene, thread: str) -> list[str]:
    return sorted(row["message_id"] for row in page.written.messages if row["conversation_id"] == thread)


@pytest.mark.parametrize("kind", ["190/463", "10", "80006", "1/99", "html_500", "368"])
def test_a_failed_rerun_leaves_the_earlier_result_unchanged(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(20)) as page:
        page.attempt()
        earlier = page.published()
        page.add(kind, route="conversations", after_calls=2, regain_minutes=60)
        for _ in range(3):
            page.failing_attempt(sizes=Sizes(4, 4))
            assert page.published() == earlier
            page.clock.skip(300)
        page.server.clear_faults()
        page.clock.skip(3_700)
        assert page.attempt(sizes=Sizes(4, 4)).complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})


@pytest.mark.parametrize("kind", ["10", "100/33", "2", "html_500", "empty_object", "1"])
def test_a_conversation_refused_in_a_rerun_keeps_its_earlier_rows(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(12, messages=9)) as page:
        page.attempt(sizes=Sizes(10, 3, 3))
        before = page.written
        page.server.world.post("t_4", created_time=UNTIL - MINUTE)
        page.add(kind, thread_id="t_7", reach=("alone",))
        assert page.attempt(sizes=Sizes(10, 3, 3)).complete
        assert page.message_ids == page.ground_truth()
        assert len(page.message_ids) == len(before.message_ids) + 1
        assert page.incomplete == {}
        [row] = [row for row in page.written.conversations if row["conversation_id"] == "t_7"]
        assert row["messages_extracted"] == 9
        assert page.written.gaps == []


def test_a_conversation_no_longer_listed_keeps_its_earlier_rows(tmp_path: Path) -> None:
    with scene(tmp_path, threads(12)) as page:
        page.attempt()
        for message in list(page.server.world.threads["t_5"].messages):
            page.server.world.unsend(message.id)
        earlier = rows_of(page, "t_5")
        assert page.attempt().complete
        assert rows_of(page, "t_5") == earlier


def test_content_that_moved_beyond_instagrams_limit_is_kept(tmp_path: Path) -> None:
    with scene(tmp_path, threads(3, messages=18, platform="INSTAGRAM"), platform="INSTAGRAM") as page:
        page.attempt()
        assert page.incomplete == {}
        earlier = rows_of(page, "t_1")
        for _ in range(7):
            page.server.world.post("t_1")  # after the window, so that 5 of its messages are beyond the 20
        assert page.attempt().complete
        assert rows_of(page, "t_1") == earlier
        assert {row["content_status"] for row in page.written.messages} == {"available"}
        assert page.incomplete == {}
        [row] = [row for row in page.written.conversations if row["conversation_id"] == "t_1"]
        assert (row["messages_extracted"], row["messages_unavailable"]) == (18, 0)


def test_a_richer_rerun_replaces_a_poorer_result(tmp_path: Path) -> None:
    with scene(tmp_path, threads(12, messages=9)) as page:
        page.add("10", thread_id="t_7", reach=("alone",))
        page.attempt(sizes=Sizes(10, 3, 3))
        assert page.incomplete == {"t_7": "unreadable"}
        page.server.clear_faults()
        page.attempt(sizes=Sizes(10, 3, 3))
        assert (page.message_ids, page.incomplete, page.written.gaps) == (page.ground_truth(), {}, [])


def test_rows_read_by_both_runs_are_written_once(tmp_path: Path) -> None:
    with scene(tmp_path, threads(12, messages=9)) as page:
        page.add("10", thread_id="t_7", reach=("alone",))
        page.attempt(sizes=Sizes(10, 3, 3))
        page.server.clear_faults()
        page.add("10", thread_id="t_3", reach=("alone",))
        page.attempt(sizes=Sizes(10, 3, 3))
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        assert page.written.manifest["stats"]["messages"] == len(page.message_ids)
        assert [row["messages"] for row in page.written.windows] == [len(page.message_ids)]


class FailsInCleanup(LocalStorage):
    """A folder in which nothing can be removed after the manifest is published."""

    is_published = False

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        super().publish_bytes(data, name, durable=durable)
        self.is_published |= name == "_manifest.json"

    def delete(self, name: str) -> None:
        if self.is_published:
            raise StorageError("the disk went away")
        super().delete(name)


def test_an_attempt_after_publication_makes_no_list_call(tmp_path: Path) -> None:
    with scene(tmp_path, threads(30)) as page:
        with pytest.raises(StorageError, match="went away"):
            page.attempt(folder=FailsInCleanup(page.folder), sizes=Sizes(5, 5))
        earlier, lists = page.published(), page.calls_of("conversations")
        result = page.attempt(sizes=Sizes(5, 5))
        assert result.complete
        assert page.calls_of("conversations") == lists
        assert page.published() == earlier
        assert result.messages == len(page.ground_truth())
        # Cleanup is done: the next run reads the window again.
        assert page.attempt(sizes=Sizes(5, 5)).complete
        assert page.calls_of("conversations") > lists


def test_an_unfinished_rerun_does_not_adopt_the_earlier_result(tmp_path: Path) -> None:
    with scene(tmp_path, threads(30)) as page:
        page.attempt(sizes=Sizes(5, 5))
        page.server.world.post("t_9", created_time=UNTIL - MINUTE)
        page.add("80006", route="conversations", after_calls=3, times=1, regain_minutes=30)
        page.failing_attempt(sizes=Sizes(5, 5))
        page.clock.skip(1_900)
        assert page.attempt(sizes=Sizes(5, 5)).complete
        assert page.message_ids == page.ground_truth()


def test_the_next_attempt_requests_an_unreadable_conversation_again(tmp_path: Path) -> None:
    messages = [MessageSpec(UNTIL - MINUTE - n * MINUTE) for n in range(9)]
    with scene(tmp_path, [ThreadSpec("MESSENGER", messages, thread_id="t_x"), *threads(30)]) as page:
        page.add("html_500", thread_id="t_x", reach=("alone", "nested_lists"))
        page.add("190/463", route="conversations", match="after=", after_calls=4, times=1)
        page.failing_attempt(sizes=Sizes(5, 3, 3))
        page.server.clear_faults()
        assert page.attempt(sizes=Sizes(5, 3, 3)).complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})


class UnreadableStorage(LocalStorage):
    """Published files cannot be read for now, so nobody knows whether they are intact."""

    def stat(self, name: str, expected: int | None = None) -> tuple[int, str]:
        raise StorageError(f"cannot read {name}: the storage does not answer")


def test_a_temporarily_unreadable_result_is_kept(tmp_path: Path) -> None:
    with scene(tmp_path, threads(12, messages=9)) as page:
        page.attempt(sizes=Sizes(10, 3, 3))
        earlier = page.published()
        page.add("10", thread_id="t_7", reach=("alone",))
        with pytest.raises(StorageError, match="does not answer"):
            extract(page.server, UnreadableStorage(page.folder), until=UNTIL, sizes=Sizes(10, 3, 3), clock=page.clock)
        assert earlier.items() <= page.published().items()
        assert page.attempt(sizes=Sizes(10, 3, 3)).complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
