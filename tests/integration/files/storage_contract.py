"""What every storage guarantees; a test class for one storage inherits this and defines how to open it."""

import contextlib
import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_metaconv.files import ChangedMeanwhileError, NotPublishedError, Storage, StorageError


class StorageContract:
    @pytest.fixture
    def open_folder(self):
        """A function that opens the storage of a folder, given below a place of this test only."""
        raise NotImplementedError

    @pytest.fixture
    def storage(self, open_folder: Callable[[str], Storage]) -> Storage:
        return open_folder("deep/folder")

    def test_an_unused_folder_is_empty(self, storage):
        assert storage.names() == []

    def test_a_published_file_is_complete(self, storage):
        temporary = storage.temporary()
        temporary.write_bytes(b"all of it")
        storage.publish(temporary, "part")
        assert storage.read("part") == b"all of it"

    def test_nothing_is_visible_before_it_is_published(self, storage):
        storage.temporary().write_bytes(b"half")
        assert storage.names() == []

    def test_publishing_replaces_a_file_of_the_same_name(self, storage):
        storage.publish_bytes(b"old", "part")
        storage.publish_bytes(b"new", "part")
        assert [storage.read(name) for name in storage.names()] == [b"new"]

    def test_names_are_sorted(self, storage):
        for name in ("b", "_manifest.json", "a"):
            storage.publish_bytes(b"", name)
        assert storage.names() == ["_manifest.json", "a", "b"]

    def test_open_streams(self, storage):
        storage.publish_bytes(b"abcdef", "part")
        with storage.open("part") as stream:
            assert [stream.read(4) for _ in range(3)] == [b"abcd", b"ef", b""]

    def test_a_discarded_temporary_is_gone(self, storage):
        temporary = storage.temporary()
        temporary.write_bytes(b"half")
        storage.discard(temporary)
        storage.discard(temporary)
        assert not temporary.exists()

    def test_two_temporaries_are_two_files(self, storage):
        assert storage.temporary() != storage.temporary()

    def test_removing_temporaries_keeps_published_files(self, storage):
        temporary = storage.temporary()
        temporary.write_bytes(b"half")
        storage.publish_bytes(b"whole", "part")
        storage.remove_temporaries()
        assert (temporary.exists(), storage.names()) == (False, ["part"])

    def test_a_file_can_be_deleted_twice(self, storage):
        storage.publish_bytes(b"", "part")
        storage.delete("part")
        storage.delete("part")
        assert storage.names() == []

    @pytest.mark.parametrize("method", ["read", "open", "stat"])
    def test_a_missing_file_has_its_own_error(self, storage, method):
        with pytest.raises(NotPublishedError, match="part does not exist: run the task that writes it first"):
            getattr(storage, method)("part")

    @pytest.mark.parametrize("name", ["", "..", "../x", "/etc/x", "a/b", ".hidden", "a\\b", "a\0b"])
    def test_a_name_cannot_point_outside_the_folder(self, storage, name):
        with pytest.raises(StorageError, match="use a plain file name"):
            storage.publish_bytes(b"", name)

    @pytest.mark.parametrize("size", [0, 1, 3_000_000])
    def test_stat_returns_size_and_checksum(self, storage, size):
        data = bytes(range(1, 251)) * (size // 250) or b"x" * size
        storage.publish_bytes(data, "part")
        assert storage.stat("part") == (len(data), hashlib.sha256(data).hexdigest())

    def test_stat_describes_the_replacement_of_a_file(self, storage):
        storage.publish_bytes(b"old", "part")
        storage.publish_bytes(b"newer", "part")
        assert storage.stat("part") == (5, hashlib.sha256(b"newer").hexdigest())

    def test_a_missing_file_has_no_version(self, storage):
        assert storage.read_versioned("part") is None

    def test_an_unchanged_file_is_replaced(self, storage):
        first = storage.replace_if_unchanged(b"first", "part", version=None)
        assert storage.read_versioned("part") == (b"first", first)
        second = storage.replace_if_unchanged(b"second", "part", version=first)
        assert storage.read_versioned("part") == (b"second", second)
        assert storage.names() == ["part"]

    @pytest.mark.parametrize("change", ["created", "replaced", "deleted"])
    def test_a_changed_file_is_not_replaced(self, open_folder, change):
        ours, theirs = open_folder("deep/folder"), open_folder("deep/folder")
        if change != "created":
            theirs.publish_bytes(b"before", "part")
        found = ours.read_versioned("part")
        theirs.delete("part") if change == "deleted" else theirs.publish_bytes(b"theirs", "part")
        with pytest.raises(ChangedMeanwhileError, match=r"another task has changed .*part since it was read"):
            ours.replace_if_unchanged(b"ours", "part", version=None if found is None else found[1])
        assert [theirs.read(name) for name in theirs.names()] == ([] if change == "deleted" else [b"theirs"])

    def test_concurrent_replacements_lose_no_change(self, open_folder):
        def count(writer):
            storage, counted = open_folder("deep/folder"), 0
            while counted < 10:
                found = storage.read_versioned("part")
                lines = b"" if found is None else found[0]
                with contextlib.suppress(ChangedMeanwhileError):
                    changed = lines + f"{writer}{counted}\n".encode()
                    storage.replace_if_unchanged(changed, "part", version=None if found is None else found[1])
                    counted += 1

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(count, "ab"))
        written = open_folder("deep/folder").read("part").decode().split()
        assert sorted(written) == [f"{writer}{number}" for writer in "ab" for number in range(10)]

    @pytest.mark.parametrize("name", ["a/b", "../x", ".hidden"])
    def test_versioned_access_requires_a_plain_name(self, storage, name):
        for action in (storage.read_versioned, lambda name: storage.replace_if_unchanged(b"", name, version=None)):
            with pytest.raises(StorageError, match="use a plain file name"):
                action(name)

    def test_the_parent_is_the_folder_above(self, open_folder):
        open_folder("deep").publish_bytes(b"above", "part")
        assert open_folder("deep/folder").parent().read("part") == b"above"

    def test_children_are_the_subfolders_with_the_given_file(self, open_folder):
        for folder in ("deep/b", "deep/a", "deep/a/below", "deeper/a"):
            open_folder(folder).publish_bytes(folder.encode(), "sought")
        for folder, name in (("deep/other", "sought.not"), ("deep/third", "notsought"), ("deep", "sought")):
            open_folder(folder).publish_bytes(b"", name)
        children = open_folder("deep").children("sought")
        assert [folder.read("sought") for folder in children] == [b"deep/a", b"deep/b"]
        assert list(open_folder("nowhere").children("sought")) == []

    def test_siblings_are_the_other_folders_with_the_given_file(self, open_folder):
        for folder in ("deep/b", "deep/a", "deep/folder", "deep/a/below", "deeper/a"):
            open_folder(folder).publish_bytes(folder.encode(), "sought")
        for folder, name in (("deep/other", "sought.not"), ("deep/third", "notsought"), ("deep", "sought")):
            open_folder(folder).publish_bytes(b"", name)
        siblings = open_folder("deep/folder").siblings("sought")
        assert [folder.read("sought") for folder in siblings] == [b"deep/a", b"deep/b"]

    def test_folders_below_are_found_at_any_depth(self, open_folder):
        for folder in ("top/a", "top/b/c/d", "top/b/c", "elsewhere/e"):
            open_folder(folder).publish_bytes(b"", "mark")
        open_folder("top/b/other").publish_bytes(b"", "part")
        top = open_folder("top")
        assert [each.uri("mark") for each in top.below("mark")] == [
            open_folder(folder).uri("mark") for folder in ("top/a", "top/b/c", "top/b/c/d")
        ]
        assert list(open_folder("nowhere").below("mark")) == []

    def test_a_child_is_the_folder_of_that_name(self, open_folder):
        open_folder("top").child("a").publish_bytes(b"x", "part")
        assert open_folder("top/a").read("part") == b"x"

    def test_a_folder_is_removed_only_if_it_is_empty(self, open_folder):
        one, other = open_folder("top/a/b"), open_folder("top/c")
        for folder in (one, other):
            folder.publish_bytes(b"", "part")
        one.remove_if_empty()
        assert one.names() == ["part"]
        one.delete("part")
        one.remove_if_empty()
        assert (one.names(), other.names()) == ([], ["part"])

    def test_limits_of_a_deletion_are_sentences(self, storage):
        assert all(limit.endswith(".") for limit in storage.limits())

    def test_a_folder_alone_has_no_siblings(self, open_folder):
        assert list(open_folder("nowhere/folder").siblings("sought")) == []

    @pytest.mark.parametrize("name", ["a/b", "../x", ".hidden"])
    def test_siblings_require_a_plain_name(self, open_folder, name):
        open_folder("deep/other").publish_bytes(b"", "part")
        with pytest.raises(StorageError, match="use a plain file name"):
            open_folder("deep/folder").siblings(name)

    def test_checking_that_a_folder_is_writable_leaves_nothing_in_it(self, storage):
        storage.publish_bytes(b"earlier", "part")
        storage.check_writable()
        assert storage.names() == ["part"]

    def test_a_folder_can_be_locked_repeatedly(self, open_folder):
        for content in (b"1", b"2"):
            storage = open_folder("deep/folder")
            with storage.lock():
                storage.publish_bytes(content, "part")
                storage.publish_bytes(content, "part")
        assert open_folder("deep/folder").read("part") == b"2"

    def test_of_two_writers_one_fails_and_the_other_succeeds(self, open_folder):
        writers = [open_folder("deep/folder") for _ in range(2)]
        errors: list[tuple[Storage, StorageError]] = []
        with contextlib.ExitStack() as locks:
            for storage in writers:
                self._collect_error(errors, storage, lambda storage=storage: locks.enter_context(storage.lock()))
            for round_number in range(2):
                for number, storage in enumerate(writers):
                    if all(storage is not loser for loser, _ in errors):
                        content = f"{number} in round {round_number}".encode()
                        self._collect_error(errors, storage, lambda s=storage, c=content: s.publish_bytes(c, "part"))
        assert [bool(re.fullmatch("another task is writing to .*", str(error))) for _, error in errors] == [True]
        loser = errors[0][0]
        winner = next(number for number, storage in enumerate(writers) if storage is not loser)
        assert f"{winner} in round 1".encode() == open_folder("deep/folder").read("part")

    def _collect_error(self, errors, storage, action):
        try:
            action()
        except StorageError as error:
            errors.append((storage, error))

    def test_the_wait_between_replacements_is_short(self, storage):
        assert 0 <= storage.seconds_between_replacements < 5

    def test_the_uri_ends_with_the_name(self, storage):
        assert storage.uri("part").endswith("/part")
