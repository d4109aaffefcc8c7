"""Where the storage server stores its objects: in memory, or in a folder that survives `kill -9`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

from gcp_storage_emulator.exceptions import BadRequest
from gcp_storage_emulator.storage import RESUMABLE_DIR, Storage

SECTIONS = ("buckets", "objects", "resumable", "bucket_iam_policies", "soft_deleted")
REMEMBERED_UPLOADS = 1_000


class MemoryContents:
    """Object contents in memory, by exact path. The method names are those that the emulator calls."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    def makedirs(self, path: str) -> None:
        """Do nothing: there are no folders."""

    def write_bytes(self, path: str, content: bytes) -> None:
        """Replace the content of an object."""
        self._contents[path] = bytes(content)

    def append_bytes(self, path: str, content: bytes) -> None:
        """Append to the content of an object."""
        self._contents[path] = self._contents.get(path, b"") + content

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an object; raises FileNotFoundError."""
        try:
            return self._contents[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def size(self, path: str) -> int:
        """Return the number of bytes, 0 for a missing object."""
        return len(self._contents.get(path, b""))

    def remove_file(self, path: str) -> None:
        """Remove an object; raises FileNotFoundError."""
        if self._contents.pop(path, None) is None:
            raise FileNotFoundError(path)

    def remove_tree(self, path: str) -> None:
        """Remove all objects of a bucket."""
        for each in [each for each in self._contents if each.startswith(f"{path}/")]:
            del self._contents[each]

    def listdir(self, _path: str = "") -> list[str]:
        """Return the names of the buckets that have objects."""
        return sorted({each.split("/", 1)[0] for each in self._contents})


class FolderContents:
    """Object contents as files, named by a hash: as in the real service, `a` and `a/b` can both be objects."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def makedirs(self, path: str) -> None:
        """Create the folder of a bucket."""
        (self._folder / path).mkdir(parents=True, exist_ok=True)

    def write_bytes(self, path: str, content: bytes) -> None:
        """Replace the content of an object; a process killed meanwhile leaves the old one."""
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_bytes(content)
        new.replace(file)

    def append_bytes(self, path: str, content: bytes) -> None:
        """Append to the content of an object."""
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as output:
            output.write(content)

    def read_bytes(self, path: str) -> bytes:
        """Return the content of an object; raises FileNotFoundError."""
        return self._file(path).read_bytes()

    def size(self, path: str) -> int:
        """Return the number of bytes, 0 for a missing object."""
        try:
            return self._file(path).stat().st_size
        except FileNotFoundError:
            return 0

    def remove_file(self, path: str) -> None:
        """Remove an object; raises FileNotFoundError."""
        self._file(path).unlink()

    def remove_tree(self, path: str) -> None:
        """Remove all objects of a bucket; raises FileNotFoundError."""
        shutil.rmtree(self._folder / path)

    def listdir(self, _path: str = "") -> list[str]:
        """Return the names of the buckets that have objects."""
        return sorted(each.name for each in self._folder.iterdir() if each.is_dir())

    def _file(self, path: str) -> Path:
        bucket, _, name = path.partition("/")
        return self._folder / bucket / hashlib.sha256(name.encode()).hexdigest()


class Journal:
    """The metadata in a folder. Each change is one line, so the cost does not grow with the number of objects."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.jsonl"

    def read(self) -> dict[str, Any]:
        """Return the metadata as of the last complete line."""
        sections: dict[str, Any] = {name: {} for name in SECTIONS}
        with contextlib.suppress(FileNotFoundError):
            for line in self._file.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):  # otherwise the process was killed while writing
                    self._apply(sections, *json.loads(line))
        return sections

    def add(self, path: list[str], value: Any) -> None:
        """Record the new value at a path (a section and keys); None: it was deleted."""
        with self._file.open("ab") as output:
            output.write(json.dumps([path, value]).encode() + b"\n")

    def rewrite(self, sections: dict[str, Any]) -> None:
        """Rewrite all metadata, one line per section."""
        new = self._file.with_suffix(".new")
        new.write_text("".join(json.dumps([[name], value]) + "\n" for name, value in sections.items()))
        new.replace(self._file)

    @staticmethod
    def _apply(sections: dict[str, Any], path: list[str], value: Any) -> None:
        place = sections
        for key in path[:-1]:
            place = place.setdefault(key, {})
        if value is None:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value


class RepairedStorage(Storage):  # type: ignore[misc]  # its package has no types
    """The emulator's storage with fixes: acknowledged changes survive a kill, and chunks may be repeated.

    Without a folder everything is in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._journal: Journal | None = None
        self.finished_uploads: OrderedDict[str, dict[str, Any]] = OrderedDict()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(folder)
        super().__init__(use_memory_fs=True, data_dir=os.sep)
        self._store = MemoryContents() if folder is None else FolderContents(folder)
        if self._journal is not None:
            self._write_config_to_file()

    def create_file(
        self, bucket_name: str, file_name: str, content: bytes, file_obj: dict[str, Any], file_id: str | None = None
    ) -> None:
        """Store an object. Its content is written before the metadata that refer to it."""
        with self._changing(["objects", bucket_name, file_name]):
            super().create_file(bucket_name, file_name, content, file_obj, file_id)
        if file_id is not None:
            self._record(["resumable", file_id], None)
            self.finished_uploads[file_id] = file_obj
            while len(self.finished_uploads) > REMEMBERED_UPLOADS:
                self.finished_uploads.popitem(last=False)

    def patch_object(self, bucket_name: str, file_name: str, file_obj: dict[str, Any]) -> None:
        """Store the changed metadata of an object."""
        with self._changing(["objects", bucket_name, file_name]):
            super().patch_object(bucket_name, file_name, file_obj)

    def delete_file(self, bucket_name: str, file_name: str) -> None:
        """Delete an object."""
        with self._changing(["objects", bucket_name, file_name]):
            super().delete_file(bucket_name, file_name)

    def create_resumable_upload(self, bucket_name: str, file_name: str, file_obj: dict[str, Any]) -> str:
        """Start a resumable upload and return its id."""
        with self._changing([]):
            upload_id: str = super().create_resumable_upload(bucket_name, file_name, file_obj)
        self._record(["resumable", upload_id], file_obj)
        return upload_id

    def get_resumable_byte_count(self, file_id: str) -> int:
        """Return the number of bytes of an upload that have arrived."""
        return self._store.size(self._object_path(RESUMABLE_DIR, self.safe_id(file_id)))

    def add_to_resumable_upload(
        self, file_id: str, content: bytes, total_size: int | None = None, expected_start: int | None = None
    ) -> bytes | None:
        """Add a chunk, and return all bytes if it was the last. Bytes that arrived before are not added again."""
        path = self._object_path(RESUMABLE_DIR, self.safe_id(file_id))
        arrived = self._store.size(path)
        start = arrived if expected_start is None else expected_start
        if start > arrived:
            raise BadRequest(f"Invalid Content-Range start: {arrived} bytes have arrived, the chunk starts at {start}")
        self._store.append_bytes(path, (content or b"")[arrived - start :])
        if total_size is None or self._store.size(path) < total_size:
            return None
        return self._store.read_bytes(path)[:total_size]

    def _read_config_from_file(self) -> None:
        sections = {name: {} for name in SECTIONS} if self._journal is None else self._journal.read()
        for name, value in sections.items():
            setattr(self, name, value)

    def _write_config_to_file(self) -> None:
        if self._journal is not None and not self._recorded_singly:
            self._journal.rewrite({name: getattr(self, name) for name in SECTIONS})

    _recorded_singly = False

    @contextlib.contextmanager
    def _changing(self, path: list[str]) -> Any:
        """Record one value instead of all metadata, which the emulator would write after each change."""
        self._recorded_singly = True
        try:
            yield
        finally:
            self._recorded_singly = False
        if path:
            section, bucket, name = path
            self._record(path, getattr(self, section).get(bucket, {}).get(name))

    def _record(self, path: list[str], value: Any) -> None:
        if self._journal is not None:
            self._journal.add(path, value)
