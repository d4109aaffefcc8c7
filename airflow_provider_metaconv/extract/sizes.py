"""How much one call asks for: as much as Meta hands over, less when it says "reduce the amount of data"."""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_provider_metaconv.records import INSTAGRAM


@dataclass(frozen=True, slots=True)
class Sizes:
    """Conversations per list call, messages nested in each, messages per call of a conversation that goes on."""

    conversations: int
    nested_messages: int
    messages: int = 100

    def smaller_list(self) -> Sizes | None:
        """Half the conversations, and for a single one a quarter of its messages; None: it cannot be smaller."""
        if self.conversations > 1:
            return replace(self, conversations=self.conversations // 2)
        if self.nested_messages > 3:
            return replace(self, nested_messages=self.nested_messages // 4)
        return None

    def larger_list(self, normal: Sizes) -> Sizes:
        """Twice the conversations, and when all of them fit twice the messages, up to what is normal."""
        if self.conversations < normal.conversations:
            return replace(self, conversations=min(2 * self.conversations, normal.conversations))
        return replace(self, nested_messages=min(2 * self.nested_messages, normal.nested_messages))


# Reported to work: 100 conversations with 100 messages each on Messenger; Meta is reported to cap at 200 and 100.
# Instagram is reported to fail on large nested reads, and shows details of 20 messages only.
MESSENGER_SIZES = Sizes(conversations=100, nested_messages=50)
INSTAGRAM_SIZES = Sizes(conversations=50, nested_messages=20)

FIRST_PATIENCE = 8
"""Calls that must succeed before more is asked for again; twice as many each time that was too early."""


def default_sizes(platform: str) -> Sizes:
    """The sizes to start with on a platform."""
    return INSTAGRAM_SIZES if platform == INSTAGRAM else MESSENGER_SIZES


class AdaptiveSizes:
    """The sizes of the next call: halved by each refusal, grown back slowly by success, never above the normal ones.

    A rate limit is no refusal: smaller calls would only be more calls.
    """

    def __init__(self, normal: Sizes) -> None:
        self.normal = normal
        self.now = normal
        self._list_successes = self._message_successes = 0
        self._patience = FIRST_PATIENCE
        self._has_grown = False

    def list_accepted(self) -> None:
        """A list call of the present sizes was answered."""
        self._list_successes += 1
        if self._list_successes >= self._patience:
            self._list_successes = 0
            self._has_grown = self.now != self.now.larger_list(self.normal)
            self.now = self.now.larger_list(self.normal)

    def list_refused(self, tried: Sizes) -> bool:
        """A list call of these sizes was too much; False when nothing smaller can be asked for."""
        smaller = tried.smaller_list()
        if smaller is None:
            return False
        self._list_successes = 0
        if self._has_grown:
            self._patience, self._has_grown = 2 * self._patience, False
        # Of what the call asked for, not of the present sizes: several calls can fail at the same size at once.
        self.now = replace(
            self.now,
            conversations=min(self.now.conversations, smaller.conversations),
            nested_messages=min(self.now.nested_messages, smaller.nested_messages),
        )
        return True

    def list_was_not_too_large(self) -> None:
        """One conversation spoilt the lists that were refused, not their size: back to the normal sizes at once."""
        self._patience = FIRST_PATIENCE
        self.now = replace(self.normal, messages=self.now.messages)

    def messages_accepted(self) -> None:
        """A call for one conversation's messages was answered."""
        self._message_successes += 1
        if self._message_successes >= FIRST_PATIENCE:
            self._message_successes = 0
            self.now = replace(self.now, messages=min(2 * self.now.messages, self.normal.messages))

    def messages_refused(self, tried: int) -> bool:
        """A call for so many messages was too much; False when nothing smaller can be asked for."""
        self._message_successes = 0
        self.now = replace(self.now, messages=min(self.now.messages, max(tried // 2, 1)))
        return tried > 1

    def messages_were_not_too_large(self) -> None:
        """One message spoilt the calls that were refused, not their size: back to the normal size at once."""
        self.now = replace(self.now, messages=self.normal.messages)
