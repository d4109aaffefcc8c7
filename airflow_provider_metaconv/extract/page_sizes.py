"""How much one call asks for: as much as fills it, and less when Meta refuses. Pure: part of the extraction's state.

Two things bound a list call. What **Meta accepts**: halved by each refusal, grown back by success. And what **fills a
call**: conversations are asked for until their messages are about ``MESSAGES_PER_CALL``, and messages until hardly a
conversation needs a call of its own. How long a Page's conversations are, its responses show.
"""

from __future__ import annotations

from typing import Self

import msgspec

from airflow_provider_metaconv.schema import INSTAGRAM


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conversations per list call, messages nested in each, messages per call of a conversation that goes on."""

    conversations: int
    nested_messages: int
    messages: int = 100

    def smaller_list(self) -> Sizes | None:
        """Half the conversations, and for a single one a quarter of its messages; None: it cannot be smaller."""
        if self.conversations > 1:
            return msgspec.structs.replace(self, conversations=self.conversations // 2)
        if self.nested_messages > 3:
            return msgspec.structs.replace(self, nested_messages=self.nested_messages // 4)
        return None

    def larger_list(self, largest: Sizes) -> Sizes:
        """Twice the conversations, and when all of them fit twice the messages, up to the largest."""
        if self.conversations < largest.conversations:
            return msgspec.structs.replace(self, conversations=min(2 * self.conversations, largest.conversations))
        nested = min(2 * self.nested_messages, largest.nested_messages)
        return msgspec.structs.replace(self, nested_messages=nested)

    def at_most(self, other: Sizes) -> Sizes:
        """The smaller of the two in each."""
        return Sizes(
            min(self.conversations, other.conversations),
            min(self.nested_messages, other.nested_messages),
            min(self.messages, other.messages),
        )


# Measured by make bench (docs/benchmark.md) on a Page of 17,000 messages in 2,000 conversations of very unequal length,
# most of them short, and on one of 1,000 conversations of 60; calls, and the largest response in MB:
#
#   conversations x nested      unequal     all of 60
#   100 x 50, the same always   83, 0.4   1,020, 2.4
#   200 x 100, first            48, 0.7      22, 5.7
#   what follows here           50, 0.7      26, 1.4
#
# Long responses cost memory and are what Meta refuses, many calls cost time: so calls are filled, but not beyond 2,500
# messages, about 1.5 MB.
MESSAGES_PER_CALL = 2_500

BYTES_PER_CALL = 8 * 1024 * 1024
"""So many bytes of rows at the most, by what those before took: several responses are in memory at once."""

IDS_PER_CALL = 200
"""Conversations per call when only id and time are asked for: the most that Meta is reported to return."""

# Meta is reported to return 200 conversations and 100 messages at the most, and to cut silently what is beyond.
# Instagram is reported to fail on large nested reads, and shows details of 20 messages only.
LARGEST_MESSENGER = Sizes(conversations=200, nested_messages=100)
LARGEST_INSTAGRAM = Sizes(conversations=50, nested_messages=20)

# Before the first response it is unknown how long the conversations are. Of a history all messages are wanted; of an
# hour the newest few of each conversation, and one call for all that changed saves the look at the top afterwards.
FIRST_OF_HISTORY = Sizes(conversations=50, nested_messages=100)
FIRST_OF_WINDOW = Sizes(conversations=100, nested_messages=25)

FIRST_PATIENCE = 4
"""Calls that must succeed before more is asked for again; twice as many each time that was too early."""

LONGEST_PATIENCE = 32
"""A refused attempt costs one call, and half the size for too long costs as many calls again as it lasts."""

REFUSALS_OF_PROVEN = 3
"""So often in a row a size that was accepted before may be refused before it counts as too large."""


class PageSizes(msgspec.Struct, forbid_unknown_fields=True):
    """The sizes of the next call, never above the ``largest``; ``filling`` is what fills a call.

    ``accepted`` is what Meta seems to accept now, ``proven`` the largest that it did accept; ``ids`` and ``proven_ids``
    are the same of calls for ids and times alone. ``given`` is what the largest was before Meta named a limit.
    ``messages_per_call`` is what fills a call, less where messages are long.

    A rate limit is no refusal: smaller calls would only be more calls. What Meta accepts is remembered by the state,
    so that the next attempt does not have to find it out again.
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
        """Begins with ``first``, or with the largest."""
        return cls(largest, first or largest, largest, largest)

    @classmethod
    def default(cls, platform: str, *, is_history: bool) -> Self:
        """The sizes for a platform, from the first message or over a window."""
        if platform == INSTAGRAM:
            return cls.starting(LARGEST_INSTAGRAM)
        return cls.starting(LARGEST_MESSENGER, FIRST_OF_HISTORY if is_history else FIRST_OF_WINDOW)

    @property
    def now(self) -> Sizes:
        """What the next call should ask for."""
        return self.accepted.at_most(self.filling)

    @property
    def messages_are_long(self) -> bool:
        """Whether calls are filled by the length of messages rather than by their number."""
        return self.messages_per_call < MESSAGES_PER_CALL

    @property
    def list_is_reduced(self) -> bool:
        """Whether list calls ask for less than would fill them, since Meta refused more."""
        return _size_of(self.now) != _size_of(self.filling)

    @property
    def ids_are_reduced(self) -> bool:
        """Whether calls for ids and times alone ask for less than they might."""
        return self.ids < self.largest_ids

    def list_accepted(self, conversations: int, messages: int, continued: int) -> None:
        """A list call returned so many; ``continued`` conversations need calls of their own."""
        now = self.now
        # What was accepted before is tried again soon: a fault that passed made it smaller.
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
            # A call for each of them costs more than longer responses; how much longer, the next one shows.
            messages = messages * min(self.largest.nested_messages, self.messages_per_call) // nested
            nested = min(self.largest.nested_messages, self.messages_per_call)
        fitting = self.messages_per_call * conversations // max(messages, 1)
        # At most twice as many at once: those that come next may be longer.
        fitting = min(fitting, 2 * self.filling.conversations, self.largest.conversations)
        self.filling = msgspec.structs.replace(self.filling, conversations=max(fitting, 1), nested_messages=nested)

    def weighed(self, messages: int, size: int) -> None:
        """Rows of so many messages took so many bytes; long ones are asked for in smaller numbers."""
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
        """A list call of these sizes was refused; False when nothing smaller can be asked for."""
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
        # Of what the call asked for, not of the present sizes: several calls can fail at the same size at once.
        self.accepted = self.accepted.at_most(msgspec.structs.replace(smaller, messages=self.accepted.messages))
        return True

    def _lose_patience(self) -> None:
        if self.has_grown:
            self.patience, self.has_grown = min(2 * self.patience, LONGEST_PATIENCE), False

    def list_was_not_too_large(self) -> None:
        """One conversation spoiled the lists that were refused, not their size: back to what fills a call at once."""
        self.patience = FIRST_PATIENCE
        self.accepted = msgspec.structs.replace(self.largest, messages=self.accepted.messages)

    def ids_accepted(self) -> None:
        """A call for ids and times alone was answered."""
        is_below_proven = self.ids < self.proven_ids
        if not is_below_proven:
            self.proven_ids, self.proven_ids_refusals = self.ids, 0
        self.ids_successes += 1
        if self.ids_are_reduced and self.ids_successes >= (FIRST_PATIENCE if is_below_proven else self.patience):
            self.ids_successes = 0
            known = self.proven_ids if is_below_proven else self.largest_ids
            self.ids, self.has_grown = min(2 * self.ids, known), not is_below_proven

    def ids_refused(self, tried: int) -> bool:
        """A call for so many ids and times was refused; False when nothing smaller can be asked for."""
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
        """A call for one conversation's messages was answered."""
        self.message_successes += 1
        if self.message_successes >= FIRST_PATIENCE:
            self.message_successes = 0
            self._allow_messages(2 * self.accepted.messages)

    def messages_refused(self, tried: int) -> bool:
        """A call for so many messages was refused; False when nothing smaller can be asked for."""
        self.message_successes = 0
        self._allow_messages(min(self.accepted.messages, max(tried // 2, 1)))
        return tried > 1

    def messages_were_not_too_large(self) -> None:
        """One message spoiled the calls that were refused, not their size: back to the largest size at once."""
        self._allow_messages(self.largest.messages)

    def _allow_messages(self, number: int) -> None:
        self.accepted = msgspec.structs.replace(self.accepted, messages=min(number, self.largest.messages))

    def limit_refused(self, tried: int, maximum: int | None) -> bool:
        """Meta names a largest limit, or refuses this one as too high; False when nothing smaller can be asked for."""
        if tried <= 1:
            # Then it is no limit that is refused, and what seemed to be the largest need not stay so.
            self.largest, self.largest_ids = self.given, IDS_PER_CALL
            self.filling = msgspec.structs.replace(self.filling, messages=self.given.messages)
            return False
        # A largest limit that is not below what was asked for explains nothing.
        most = maximum if maximum and maximum < tried else tried // 2
        bound = Sizes(most, most, most)
        self.largest, self.filling = self.largest.at_most(bound), self.filling.at_most(bound)
        self.accepted = self.accepted.at_most(bound)
        self.ids = self.largest_ids = min(self.largest_ids, most)
        self.proven_ids = min(self.proven_ids, most)
        return True


def _size_of(sizes: Sizes) -> tuple[int, int]:
    """The size of list calls alone."""
    return sizes.conversations, sizes.nested_messages
