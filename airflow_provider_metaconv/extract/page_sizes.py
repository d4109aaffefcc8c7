"""The sizes of calls: as large as useful, and smaller if Meta refuses. Pure: part of the extraction's state.

Two things limit a list call. What **Meta accepts** is halved by each refusal and grows again with success. What
**fills a call**: conversations are requested until their messages are about ``MESSAGES_PER_CALL``, and messages until
hardly any conversation needs a separate call. The responses show how long a Page's conversations are.
"""

from __future__ import annotations

from typing import Self

import msgspec

from airflow_provider_metaconv.schema import INSTAGRAM


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conversations per list call, messages nested in each, and messages per call of a single conversation."""

    conversations: int
    nested_messages: int
    messages: int = 100

    def smaller_list(self) -> Sizes | None:
        """Halve the conversations, or quarter a single one's messages; None if nothing smaller is possible."""
        if self.conversations > 1:
            return msgspec.structs.replace(self, conversations=self.conversations // 2)
        if self.nested_messages > 3:
            return msgspec.structs.replace(self, nested_messages=self.nested_messages // 4)
        return None

    def larger_list(self, largest: Sizes) -> Sizes:
        """Double the conversations, or the messages if the conversations are at their maximum, up to ``largest``."""
        if self.conversations < largest.conversations:
            return msgspec.structs.replace(self, conversations=min(2 * self.conversations, largest.conversations))
        nested = min(2 * self.nested_messages, largest.nested_messages)
        return msgspec.structs.replace(self, nested_messages=nested)

    def at_most(self, other: Sizes) -> Sizes:
        """Return the minimum of each size."""
        return Sizes(
            min(self.conversations, other.conversations),
            min(self.nested_messages, other.nested_messages),
            min(self.messages, other.messages),
        )


# Measured with make bench (docs/benchmark.md) on a Page of 17,000 messages in 2,000 conversations of very unequal
# length, most of them short, and on one of 1,000 conversations of 60 messages. Calls, and the largest response in MB:
#
#   conversations x nested      unequal     all of 60
#   100 x 50, constant          83, 0.4   1,020, 2.4
#   200 x 100, first            48, 0.7      22, 5.7
#   these sizes                 50, 0.7      26, 1.4
#
# Long responses cost memory and tend to be refused, and many calls cost time. So calls are filled, but only up to 2,500
# messages, about 1.5 MB.
MESSAGES_PER_CALL = 2_500

BYTES_PER_CALL = 8 * 1024 * 1024
"""The maximum size of a call's rows, estimated from earlier rows. Several responses are in memory at once."""

IDS_PER_CALL = 200
"""Conversations per call for IDs and times only. Meta is reported to return at most this many."""

# Meta is reported to return at most 200 conversations and 100 messages, and to cut off the rest silently. Instagram is
# reported to fail on large nested reads, and shows details of only 20 messages.
LARGEST_MESSENGER = Sizes(conversations=200, nested_messages=100)
LARGEST_INSTAGRAM = Sizes(conversations=50, nested_messages=20)

# Before the first response, the length of the conversations is unknown. A history needs all messages. An hourly window
# needs only the newest few per conversation, and one call for all changed ones saves the catch-up pass.
FIRST_OF_HISTORY = Sizes(conversations=50, nested_messages=100)
FIRST_OF_WINDOW = Sizes(conversations=100, nested_messages=25)

FIRST_PATIENCE = 4
"""Successful calls before more is requested again. It doubles each time that was too early."""

LONGEST_PATIENCE = 32
"""A refused attempt costs one call, while half the size costs twice as many calls for as long as it lasts."""

REFUSALS_OF_PROVEN = 3
"""How many consecutive refusals of a previously accepted size make it count as too large."""


class PageSizes(msgspec.Struct, forbid_unknown_fields=True):
    """The sizes of the next call, never above ``largest``. ``filling`` is what fills a call.

    ``accepted`` is what Meta seems to accept now, and ``proven`` the largest that it did accept; ``ids`` and
    ``proven_ids`` are the same for calls for IDs and times only. ``given`` is ``largest`` before Meta reported a limit.
    ``messages_per_call`` is the number of messages that fill a call, smaller if messages are long.

    A rate limit is not a refusal: smaller calls would only be more calls. The state stores what Meta accepts, so that
    the next attempt does not have to find it out again.
    """

    largest: Sizes
    filling: Sizes
    accepted: Sizes
    given: Sizes
    messages_per_call: int = MESSAGES_PER_CALL
    ids: int = IDS_PER_CALL
    largest_ids: int = IDS_PER_CALL
    proven: Sizes = Sizes(1, 0)
    proven_refusals: int = 0
    proven_ids: int = 1
    proven_ids_refusals: int = 0
    list_successes: int = 0
    ids_successes: int = 0
    message_successes: int = 0
    patience: int = FIRST_PATIENCE
    has_grown: bool = False

    @classmethod
    def starting(cls, largest: Sizes, first: Sizes | None = None) -> Self:
        """Start with ``first``, or with the largest sizes."""
        return cls(largest, first or largest, largest, largest)

    @classmethod
    def default(cls, platform: str, *, is_history: bool) -> Self:
        """Return the default sizes for a platform, for a full history or a window."""
        if platform == INSTAGRAM:
            return cls.starting(LARGEST_INSTAGRAM)
        return cls.starting(LARGEST_MESSENGER, FIRST_OF_HISTORY if is_history else FIRST_OF_WINDOW)

    @property
    def now(self) -> Sizes:
        """The sizes of the next call."""
        return self.accepted.at_most(self.filling)

    @property
    def messages_are_long(self) -> bool:
        """Whether calls are limited by the length of messages instead of their number."""
        return self.messages_per_call < MESSAGES_PER_CALL

    @property
    def list_is_reduced(self) -> bool:
        """Whether list calls are smaller than would fill them, because Meta refused more."""
        return _size_of(self.now) != _size_of(self.filling)

    @property
    def ids_are_reduced(self) -> bool:
        """Whether calls for IDs and times only are smaller than their maximum."""
        return self.ids < self.largest_ids

    def list_accepted(self, conversations: int, messages: int, continued: int) -> None:
        """Record a successful list call. ``continued`` of its conversations need separate calls."""
        now = self.now
        # A size that was accepted before is tried again soon, because a temporary fault may have reduced it.
        is_below_proven = self._is_proven(now) and _size_of(now) != _size_of(self.proven)
        if not is_below_proven:
            self.proven, self.proven_refusals = now, 0
        if self.list_is_reduced:
            self.list_successes += 1
            if self.list_successes >= (FIRST_PATIENCE if is_below_proven else self.patience):
                self.list_successes = 0
                known = self.proven if is_below_proven else self.filling
                self.accepted, self.has_grown = self.accepted.larger_list(known), not is_below_proven
        elif conversations:
            self._fill(conversations, messages, continued)

    def _is_proven(self, sizes: Sizes) -> bool:
        return _size_of(sizes) == _size_of(sizes.at_most(self.proven))

    def _fill(self, conversations: int, messages: int, continued: int) -> None:
        nested = self.filling.nested_messages
        if continued > 1:
            # Separate calls cost more than longer responses. The next response shows how much longer.
            messages = messages * min(self.largest.nested_messages, self.messages_per_call) // nested
            nested = min(self.largest.nested_messages, self.messages_per_call)
        fitting = self.messages_per_call * conversations // max(messages, 1)
        # At most doubled at once, because the next conversations may be longer.
        fitting = min(fitting, 2 * self.filling.conversations, self.largest.conversations)
        self.filling = msgspec.structs.replace(self.filling, conversations=max(fitting, 1), nested_messages=nested)

    def weighed(self, messages: int, size: int) -> None:
        """Record the size of rows in bytes. Long messages are requested in smaller numbers."""
        if not messages:
            return
        fitting = min(BYTES_PER_CALL * messages // max(size, 1), 2 * self.messages_per_call, MESSAGES_PER_CALL)
        if fitting == self.messages_per_call:
            return
        before, self.messages_per_call = self.messages_per_call, max(fitting, 1)
        self.filling = Sizes(
            max(self.filling.conversations * min(self.messages_per_call, before) // before, 1),
            min(self.filling.nested_messages, self.messages_per_call),
            min(self.largest.messages, self.messages_per_call),
        )

    def list_refused(self, tried: Sizes) -> bool:
        """Record a refused list call. Returns False if nothing smaller is possible."""
        smaller = tried.smaller_list()
        if smaller is None:
            return False
        self.list_successes = 0
        if self._is_proven(tried):
            self.proven_refusals += 1
            if self.proven_refusals >= REFUSALS_OF_PROVEN:
                self.proven, self.proven_refusals, self.patience = smaller, 0, FIRST_PATIENCE
        else:
            self._lose_patience()
        self.has_grown = False
        # Based on the call's sizes, not the current ones, because several calls can fail at the same size at once.
        self.accepted = self.accepted.at_most(msgspec.structs.replace(smaller, messages=self.accepted.messages))
        return True

    def _lose_patience(self) -> None:
        if self.has_grown:
            self.patience, self.has_grown = min(2 * self.patience, LONGEST_PATIENCE), False

    def list_was_not_too_large(self) -> None:
        """Reset to the largest sizes: the refusals were due to one conversation, not to the size."""
        self.patience = FIRST_PATIENCE
        self.accepted = msgspec.structs.replace(self.largest, messages=self.accepted.messages)

    def ids_accepted(self) -> None:
        """Record a successful call for IDs and times only."""
        is_below_proven = self.ids < self.proven_ids
        if not is_below_proven:
            self.proven_ids, self.proven_ids_refusals = self.ids, 0
        self.ids_successes += 1
        if self.ids_are_reduced and self.ids_successes >= (FIRST_PATIENCE if is_below_proven else self.patience):
            self.ids_successes = 0
            known = self.proven_ids if is_below_proven else self.largest_ids
            self.ids, self.has_grown = min(2 * self.ids, known), not is_below_proven

    def ids_refused(self, tried: int) -> bool:
        """Record a refused call for IDs and times only. Returns False if nothing smaller is possible."""
        self.ids_successes = 0
        if tried <= self.proven_ids:
            self.proven_ids_refusals += 1
            if self.proven_ids_refusals >= REFUSALS_OF_PROVEN:
                self.proven_ids, self.proven_ids_refusals = max(tried // 2, 1), 0
        else:
            self._lose_patience()
        self.has_grown = False
        self.ids = max(min(self.ids, tried // 2), 1)
        return tried > 1

    def messages_accepted(self) -> None:
        """Record a successful call for one conversation's messages."""
        self.message_successes += 1
        if self.message_successes >= FIRST_PATIENCE:
            self.message_successes = 0
            self._allow_messages(2 * self.accepted.messages)

    def messages_refused(self, tried: int) -> bool:
        """Record a refused call for messages. Returns False if nothing smaller is possible."""
        self.message_successes = 0
        self._allow_messages(min(self.accepted.messages, max(tried // 2, 1)))
        return tried > 1

    def messages_were_not_too_large(self) -> None:
        """Reset to the largest size: the refusals were due to one message, not to the size."""
        self._allow_messages(self.largest.messages)

    def _allow_messages(self, number: int) -> None:
        self.accepted = msgspec.structs.replace(self.accepted, messages=min(number, self.largest.messages))

    def limit_refused(self, tried: int, maximum: int | None) -> bool:
        """Record that Meta rejects a limit as too high. Returns False if nothing smaller is possible."""
        if tried <= 1:
            # The limit is not the cause then, and the supposed maximum need not be kept.
            self.largest, self.largest_ids = self.given, IDS_PER_CALL
            self.filling = msgspec.structs.replace(self.filling, messages=self.given.messages)
            return False
        # A reported maximum that is not below the requested limit does not explain the refusal.
        most = maximum if maximum and maximum < tried else tried // 2
        bound = Sizes(most, most, most)
        self.largest, self.filling = self.largest.at_most(bound), self.filling.at_most(bound)
        self.accepted = self.accepted.at_most(bound)
        self.ids = self.largest_ids = min(self.largest_ids, most)
        self.proven_ids = min(self.proven_ids, most)
        return True


def _size_of(sizes: Sizes) -> tuple[int, int]:
    """Return the sizes that apply to list calls."""
    return sizes.conversations, sizes.nested_messages
