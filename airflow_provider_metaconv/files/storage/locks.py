"""Detection of folders whose file locks other machines cannot see, so that two tasks might mix their files there."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

NETWORK_TYPES = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "fuse.glusterfs"})

_LOCAL_LOCKS = frozenset({"nolock", "local_lock=flock", "local_lock=all"})

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""The errors of file systems without locks, or whose lock server cannot be reached."""

ADVICE = (
    "its file system has no locks that other machines see, so two tasks could mix their files there (mount it with "
    "locks: NFS 4, or NFS 3 with lockd and without nolock and local_lock; or choose another destination)"
)


@dataclass(frozen=True, slots=True)
class Mount:
    """The file system of a folder: its type, and the combined options of the mount and the file system."""

    type: str
    options: frozenset[str]

    @property
    def is_shared(self) -> bool:
        """Whether other machines may have mounted it as well."""
        return self.type in NETWORK_TYPES

    @property
    def has_local_locks(self) -> bool:
        """Whether other machines may have mounted it but cannot see this machine's locks."""
        return self.is_shared and not self.options.isdisjoint(_LOCAL_LOCKS)


def mount_of(folder: Path) -> Mount | None:
    """Return the file system of a folder, or None if the operating system does not report it."""
    try:
        device = folder.stat().st_dev
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        # 36 35 98:0 /root /mount rw,noatime shared:1 - nfs4 server:/export rw,vers=4.2,local_lock=none
        before, _, after = line.partition(" - ")
        fields, described = before.split(), after.split()
        if len(fields) > 5 and len(described) > 2 and fields[2] == wanted:
            return Mount(described[0], frozenset([*fields[5].split(","), *described[2].split(",")]))
    return None
