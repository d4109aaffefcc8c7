"""What was read of a window: without a proof for each of its lists nothing is complete."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """How the reading of one list ended: ``proof`` says why it counts as read to its end, else ``reason`` why not.

    ``folder`` is Messenger's folder, None for Meta's default list.
    """

    folder: str | None
    proof: str = ""
    reason: str = ""

    @property
    def is_read(self) -> bool:
        """Whether the list was read to its end."""
        return bool(self.proof)


@dataclass(frozen=True, slots=True)
class WindowEvidence:
    """What was read of a window's lists: nothing counts as complete without a proof for each of them."""

    lists: tuple[ListOutcome, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every list was read to its end; not when there is none."""
        return bool(self.lists) and all(each.is_read for each in self.lists)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Which lists were not read to their end, and why."""
        return tuple(
            f"{f'folder {each.folder}' if each.folder else 'the list of conversations'}: {each.reason}"
            for each in self.lists
            if not each.is_read
        )
