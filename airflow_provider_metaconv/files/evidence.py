"""Evidence of what was read of a window. Without proof for each of its lists, it is not complete."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """How the reading of one list ended: ``proof`` says why it counts as fully read, otherwise ``reason`` why not.

    ``folder`` is Messenger's folder, or None for Meta's default list.
    """

    folder: str | None
    proof: str = ""
    reason: str = ""

    @property
    def is_read(self) -> bool:
        """Whether the list was fully read."""
        return bool(self.proof)


@dataclass(frozen=True, slots=True)
class WindowEvidence:
    """What was read of a window's lists. A window is complete only with proof for each of them."""

    lists: tuple[ListOutcome, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every list was fully read; false if there are no lists."""
        return bool(self.lists) and all(each.is_read for each in self.lists)

    @property
    def gaps(self) -> tuple[str, ...]:
        """The lists that were not fully read, each with the reason."""
        return tuple(
            f"{f'folder {each.folder}' if each.folder else 'the list of conversations'}: {each.reason}"
            for each in self.lists
            if not each.is_read
        )
