"""A storage in memory whose process can be killed, or which can fail, at each effect."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from airflow_provider_metaconv import access
from airflow_provider_metaconv.files.errors import ChangedMeanwhileError, NotPublishedError, StorageError
from airflow_provider_metaconv.files.storage.stored_file import MOST_BYTES_READ
from tests.simulation.scenario import CrashPlan, StorageFaultPlan

KILLED = {
    "before": "kill -9 before a write",
    "after": "kill -9 after a write",
    "lost": "kill -9, last write lost",
    "call": "kill -9 at a call",
}
STORAGE_REFUSES, STORAGE_FAILS_LATE, STORAGE_UNREADABLE = (
    "storage refuses",
    "storage fails after writing",
    "storage unreadable",
)
INTERRUPTIONS = (*KILLED.values(), STORAGE_REFUSES, STORAGE_FAILS_LATE, STORAGE_UNREADABLE)
"""What can happen to the process of an attempt, as named in the coverage."""

TEMPORARY_PREFIX = ".temporary-"


class Killed(BaseException):
    """``kill -9``: nothing else of the attempt happens, whatever its handlers try."""


@dataclass
class Process:
    """The process of one attempt: its planned crashes and storage faults, and whether it is dead."""

    crashes: tuple[CrashPlan, ...] = ()
    storage_faults: tuple[StorageFaultPlan, ...] = ()
    trace: Callable[[str], None] = lambda _: None
    is_dead: bool = False
    effects: int = 0
    reads: int = 0
    calls: int = 0
    triggered: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raises ``Killed`` in a dead process."""
        if self.is_dead:
            raise Killed

    def die(self, kind: str, reason: str) -> None:
        """Ends the process."""
        self.is_dead = True
        self.triggered.append(KILLED[kind])
        self.trace(f"killed {reason}")
        raise Killed

    def read(self, what: str) -> None:
        """Counts a read; fails if planned."""
        self.check()
        self.reads += 1
        if any(fault.reads and 0 <= self.reads - fault.effect < fault.effects for fault in self.storage_faults):
            self.triggered.append(STORAGE_UNREADABLE)
            self.trace(f"not readable: {what}")
            raise StorageError(f"cannot read {what}: the storage does not respond")

    def call(self) -> None:
        """Counts a call; dies if planned."""
        self.check()
        self.calls += 1
        for crash in self.crashes:
            if crash.kind == "call" and crash.point == self.calls:
                self.die("call", f"at its call {self.calls}")


class _MemoryFile(io.BytesIO):
    """A file whose bytes are kept when it is closed."""

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        super().__init__()
        self._keep = keep

    def close(self) -> None:
        if not self.closed:
            self._keep(self.getvalue())
        super().close()


class MemoryPath(pathlib.PosixPath):
    """A path that is not on any disk: bytes written to it are kept in memory."""

    def open(self, *_: Any, **__: Any) -> Any:
        return _MemoryFile(lambda data: temporaries.__setitem__(str(self), data))


temporaries: dict[str, bytes] = {}
"""The temporary files of this process, by path."""

_create_on_disk = access.create


def _create(path: Path, buffering: int = -1) -> BinaryIO:
    return path.open() if isinstance(path, MemoryPath) else _create_on_disk(path, buffering)


access.create = _create


@dataclass
class Disk:
    """What survives a process: folders with their files."""

    folders: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def copy(self, folder: str) -> dict[str, bytes]:
        """A copy of the current files of one folder."""
        return dict(self.folders.get(folder, {}))


class MemoryStorage:
    """The ``Storage`` for one folder of a ``Disk``, in one process."""

    seconds_between_replacements = 0.0

    def __init__(self, disk: Disk, folder: str, process: Process) -> None:
        self._disk, self._folder, self._process = disk, folder, process
        self._number = 0

    @property
    def _files(self) -> dict[str, bytes]:
        return self._disk.folders.setdefault(self._folder, {})

    def check_writable(self) -> None:
        self._process.check()

    def temporary(self) -> Path:
        self._process.check()
        self._number += 1
        return MemoryPath(f"/memory/{self._folder}/{TEMPORARY_PREFIX}{self._number}")

    def publish(self, temporary: Path, name: str, *, sha256: str | None = None) -> None:
        data = temporaries[str(temporary)]
        self._effect(f"publish {name} ({len(data)} bytes)", lambda: self._write(name, data))
        temporaries.pop(str(temporary), None)

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        self._effect(f"write {name} ({len(data)} bytes)", lambda: self._write(name, data), durable=durable)

    def read(self, name: str, most_bytes: int = MOST_BYTES_READ) -> bytes:
        self._process.read(name)
        try:
            return self._files[name]
        except KeyError:
            raise NotPublishedError(f"there is no {self.uri(name)}") from None

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self.read(name))

    def stat(self, name: str, expected: int | None = None) -> tuple[int, str]:
        data = self.read(name)
        return len(data), hashlib.sha256(data).hexdigest()

    def names(self) -> list[str]:
        self._process.read(f"the names of {self._folder}")
        return sorted(self._files)

    def delete(self, name: str) -> None:
        if name in self._files:
            self._effect(f"delete {name}", lambda: self._files.pop(name, None))

    def discard(self, temporary: Path) -> None:
        temporaries.pop(str(temporary), None)

    def remove_temporaries(self) -> None:
        self._process.check()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        self._process.check()
        yield

    def read_versioned(self, name: str) -> tuple[bytes, str] | None:
        self._process.check()
        data = self._files.get(name)
        return None if data is None else (data, hashlib.sha256(data).hexdigest())

    def replace_if_unchanged(self, data: bytes, name: str, *, version: str | None) -> str:
        found = self.read_versioned(name)
        if (None if found is None else found[1]) != version:
            raise ChangedMeanwhileError(f"{self.uri(name)} was changed meanwhile")
        self.publish_bytes(data, name)
        return hashlib.sha256(data).hexdigest()

    def parent(self) -> MemoryStorage:
        return MemoryStorage(self._disk, "", self._process)

    def children(self, holding: str) -> list[MemoryStorage]:
        return self.siblings(holding)

    def siblings(self, holding: str) -> list[MemoryStorage]:
        self._process.check()
        folders = sorted(name for name, files in self._disk.folders.items() if holding in files)
        return [MemoryStorage(self._disk, name, self._process) for name in folders if name != self._folder]

    def below(self, holding: str) -> list[MemoryStorage]:
        return self.siblings(holding)

    def child(self, name: str) -> MemoryStorage:
        return MemoryStorage(self._disk, name, self._process)

    def limits(self) -> tuple[str, ...]:
        return ()

    def remove_if_empty(self) -> None:
        self._process.check()

    def uri(self, name: str) -> str:
        return f"/memory/{self._folder}/{name}"

    def _write(self, name: str, data: bytes) -> None:
        self._files[name] = data

    def _effect(self, what: str, act: Callable[[], object], *, durable: bool = True) -> None:
        """Carries out one effect, with its planned faults and crashes."""
        process = self._process
        process.check()
        process.effects += 1
        crash = next((c.kind for c in process.crashes if c.kind != "call" and c.point == process.effects), None)
        if crash == "before":
            process.die(crash, f"before {what}")
        fault = next(
            (f for f in process.storage_faults if not f.reads and 0 <= process.effects - f.effect < f.effects), None
        )
        if fault is not None and not fault.happened:
            process.triggered.append(STORAGE_REFUSES)
            process.trace(f"refused {what}")
            raise StorageError(f"cannot write {self._folder}: the storage fails")
        before = self._disk.copy(self._folder)
        act()
        process.trace(what)
        if fault is not None:
            process.triggered.append(STORAGE_FAILS_LATE)
            process.trace("... which is reported as a failure")
            raise StorageError(f"cannot write {self._folder}: the storage does not respond")
        if crash == "lost" and not durable:
            self._disk.folders[self._folder] = before
        if crash is not None:
            process.die(crash, f"after {what}")
