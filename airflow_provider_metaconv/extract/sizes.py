"""How much one call asks for: as much as fills it, and less when Meta says "reduce the amount of data".

Two things bound a list call. What **Meta hands over**: halved by each refusal, grown back slowly by success. And what
**fills a call**: conversations are asked for until their messages are about ``MESSAGES_PER_CALL``, and messages until
hardly a conversation needs a call of its own. How long a Page's conversations are, its answers tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

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

    def larger_list(self, largest: Sizes) -> Sizes:
        """Twice the conversations, and when all of them fit twice the messages, up to the largest."""
        if self.conversations < largest.conversations:
            return replace(self, conversations=min(2 * self.conversations, largest.conversations))
        return replace(self, nested_messages=min(2 * self.nested_messages, largest.nested_messages))

    def at_most(self, other: Sizes) -> Sizes:
        """The smaller of the two in each."""
        return Sizes(
            min(self.conversations, other.conversations),
            min(self.nested_messages, other.nested_messages),
            min(self.messages, other.messages),
        )


# Measured by make bench (docs/benchmark.md) on a Page of 17,000 messages in 2,000 conversations of very unequal length,
# most of them short, and on one of 1,000 conversations of 60; calls, and the largest answer in MB:
#
#   conversations x nested      unequal     all of 60
#   100 x 50, the same always   83, 0.4   1,020, 2.4
#   200 x 100, first            48, 0.7      22, 5.7
#   what follows here           50, 0.7      26, 1.4
#
# Long answers cost memory and are what Meta refuses, many calls cost time: so calls are filled, but not beyond 2,500
# messages, about 1.5 MB.
MESSAGES_PER_CALL = 2_500

# Meta is reported to hand over 200 conversations and 100 messages at the most, and to cut silently what is beyond.
# Instagram is reported to fail on large nested reads, and shows details of 20 messages only.
LARGEST_MESSENGER = Sizes(conversations=200, nested_messages=100)
LARGEST_INSTAGRAM = Sizes(conversations=50, nested_messages=20)

# Before the first answer nobody knows how long the conversations are. Of a history all messages are wanted; of an hour
# the newest few of each conversation, and one call for all that changed saves the look at the top afterwards.
FIRST_OF_HISTORY = Sizes(conversations=50, nested_messages=100)
FIRST_OF_WINDOW = Sizes(conversations=100, nested_messages=25)

FIRST_PATIENCE = 8
"""Calls that must succeed before more is asked for again; twice as many each time that was too early."""


def default_sizes(platform: str, *, is_history: bool) -> AdaptiveSizes:
    """The sizes of a walk on a platform, from the first message or over a window."""
    if platform == INSTAGRAM:
        return AdaptiveSizes(LARGEST_INSTAGRAM)
    return AdaptiveSizes(LARGEST_MESSENGER, FIRST_OF_HISTORY if is_history else FIRST_OF_WINDOW)


class AdaptiveSizes:
    """The sizes of the next call, never above the ``largest``; the first is of size ``first``.

    A rate limit is no refusal: smaller calls would only be more calls.
    """

    def __init__(self, largest: Sizes, first: Sizes | None = None) -> None:
        self._largest = largest
        self._filling = first or largest
        self._accepted = largest
        self._list_successes = self._message_successes = 0
        self._patience = FIRST_PATIENCE
        self._has_grown = False

    @property
    def now(self) -> Sizes:
        """What the next call should ask for."""
        return self._accepted.at_most(self._filling)

    def list_accepted(self, conversations: int, messages: int, continued: int) -> None:
        """A list call of the present sizes brought so many; ``continued`` conversations need calls of their own."""
        if replace(self.now, messages=self._filling.messages) != self._filling:
            self._list_successes += 1
            if self._list_successes >= self._patience:
                self._list_successes = 0
                self._accepted, self._has_grown = self._accepted.larger_list(self._filling), True
        elif conversations:
            self._fill(conversations, messages, continued)

    def _fill(self, conversations: int, messages: int, continued: int) -> None:
        nested = self._filling.nested_messages
        if continued > 1:
            # A call for each of them costs more than longer answers; how much longer, the next one tells.
            messages = messages * self._largest.nested_messages // nested
            nested = self._largest.nested_messages
        fitting = MESSAGES_PER_CALL * conversations // max(messages, 1)
        # At most twice as many at once: those that come next may be longer.
        fitting = min(fitting, 2 * self._filling.conversations, self._largest.conversations)
        self._filling = replace(self._filling, conversations=max(fitting, 1), nested_messages=nested)

    def list_refused(self, tried: Sizes) -> bool:
        """A list call of these sizes was too much; False when nothing smaller can be asked for."""
        smaller = tried.smaller_list()
        if smaller is None:
            return False
        self._list_successes = 0
        if self._has_grown:
            self._patience, self._has_grown = 2 * self._patience, False
        # Of what the call asked for, not of the present sizes: several calls can fail at the same size at once.
        self._accepted = self._accepted.at_most(replace(smaller, messages=self._accepted.messages))
        return True

    def list_was_not_too_large(self) -> None:
        """One conversation spoilt the lists that were refused, not their size: back to what fills a call at once."""
        self._patience = FIRST_PATIENCE
        self._accepted = replace(self._largest, messages=self._accepted.messages)

    def messages_accepted(self) -> None:
        """A call for one conversation's messages was answered."""
        self._message_successes += 1
        if self._message_successes >= FIRST_PATIENCE:
            self._message_successes = 0
            self._allow_messages(2 * self._accepted.messages)

    def messages_refused(self, tried: int) -> bool:
        """A call for so many messages was too much; False when nothing smaller can be asked for."""
        self._message_successes = 0
        self._allow_messages(min(self._accepted.messages, max(tried // 2, 1)))
        return tried > 1

    def messages_were_not_too_large(self) -> None:
        """One message spoilt the calls that were refused, not their size: back to the largest size at once."""
        self._allow_messages(self._largest.messages)

    def _allow_messages(self, number: int) -> None:
        self._accepted = replace(self._accepted, messages=min(number, self._largest.messages))

    def state(self) -> dict[str, int]:
        """What a later try begins with, in JSON types."""
        return asdict(self._filling)

    def resume(self, state: Mapping[str, int]) -> None:
        """Begins with what ``state()`` said; what Meta hands over by now, it must say anew."""
        self._filling = Sizes(**state).at_most(self._largest)
