"""What every storage promises; a test class for one storage inherits this and says how to make it."""

import pytest

from airflow_provider_metaconv.files import NotPublishedError, Storage, StorageError


class StorageContract:
    @pytest.fixture
    def storage(self) -> Storage:
        raise NotImplementedError

    def test_an_unused_folder_is_empty(self, storage):
        assert [] == storage.names()

    def test_a_published_file_is_whole(self, storage):
        temporary = storage.temporary()
        temporary.write_bytes(b"all of it")
        storage.publish(temporary, "part")
        assert b"all of it" == storage.read("part")

    def test_nothing_is_there_before_it_is_published(self, storage):
        storage.temporary().write_bytes(b"half")
        assert [] == storage.names()

    def test_publishing_replaces_what_had_the_name(self, storage):
        storage.publish_bytes(b"old", "part")
        storage.publish_bytes(b"new", "part")
        assert [b"new"] == [storage.read(name) for name in storage.names()]

    def test_names_are_sorted(self, storage):
        for name in ("b", "_manifest.json", "a"):
            storage.publish_bytes(b"", name)
        assert ["_manifest.json", "a", "b"] == storage.names()

    def test_open_streams(self, storage):
        storage.publish_bytes(b"abcdef", "part")
        with storage.open("part") as stream:
            assert [b"abcd", b"ef", b""] == [stream.read(4) for _ in range(3)]

    def test_a_discarded_temporary_is_gone(self, storage):
        temporary = storage.temporary()
        temporary.write_bytes(b"half")
        storage.discard(temporary)
        storage.discard(temporary)
        assert not temporary.exists()

    def test_two_temporaries_are_two_files(self, storage):
        assert storage.temporary() != storage.temporary()

    def test_temporaries_of_dead_attempts_can_be_removed_and_published_files_stay(self, storage):
        temporary = storage.temporary()
        temporary.write_bytes(b"half")
        storage.publish_bytes(b"whole", "part")
        storage.remove_temporaries()
        assert (False, ["part"]) == (temporary.exists(), storage.names())

    def test_delete_removes_once_and_forgives_twice(self, storage):
        storage.publish_bytes(b"", "part")
        storage.delete("part")
        storage.delete("part")
        assert [] == storage.names()

    @pytest.mark.parametrize("method", ["read", "open"])
    def test_a_file_that_is_not_there_has_its_own_error(self, storage, method):
        with pytest.raises(NotPublishedError, match="part: run the task that writes it first"):
            getattr(storage, method)("part")

    @pytest.mark.parametrize("name", ["", "..", "../x", "/etc/x", "a/b", ".hidden", "a\\b", "a\0b"])
    def test_a_name_cannot_lead_out_of_the_folder(self, storage, name):
        with pytest.raises(StorageError, match="use a plain file name"):
            storage.publish_bytes(b"", name)

    def test_the_uri_ends_with_the_name(self, storage):
        assert storage.uri("part").endswith("/part")
