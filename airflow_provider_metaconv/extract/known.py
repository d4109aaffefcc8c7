"""The conversations that an extraction has seen, by the ID under which they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping


class KnownConversations(Mapping[str, str | None]):
    """The conversations seen so far, each with its effective time at that time. Keys are Meta's IDs.

    ``stored_id`` returns the ID under which a conversation is stored: its own, or a pseudonym. Rows of earlier attempts
    only have the latter, so that is what is remembered.
    """

    def __init__(self, stored_id: Callable[[str], str]) -> None:
        self.stored_id = stored_id
        self._times: dict[str, str | None] = {}

    def __getitem__(self, conversation_id: str) -> str | None:
        return self._times[self.stored_id(conversation_id)]

    def __setitem__(self, conversation_id: str, time: str | None) -> None:
        self._times[self.stored_id(conversation_id)] = time

    def __contains__(self, conversation_id: object) -> bool:
        return isinstance(conversation_id, str) and self.stored_id(conversation_id) in self._times

    def __iter__(self) -> Iterator[str]:
        """Yield the stored IDs."""
        return iter(self._times)

    def __len__(self) -> int:
        return len(self._times)

    def add_stored(self, stored_id: str, time: str | None) -> None:
        """Add a conversation by the ID under which it is stored."""
        self._times[stored_id] = time

    def add_stored_if_new(self, stored_id: str, time: str | None) -> None:
        """Add a conversation by the ID under which it is stored, unless it is known."""
        self._times.setdefault(stored_id, time)
