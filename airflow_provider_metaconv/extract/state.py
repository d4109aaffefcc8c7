"""All that is known of an extraction, as typed values: the only thing that a checkpoint holds beside rows.

Calls in flight are not part of it: an attempt that goes on from a state plans them again. What was refused is not part
of it either, beside the sizes that Meta accepts: a failure is no phase, it ends the attempt, and the next one asks
again.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from airflow_provider_metaconv.extract.page_sizes import PageSizes
from airflow_provider_metaconv.extract.requests import Position


class _State(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    pass


class _Value(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    pass


class Reading(_Value, frozen=True, tag="reading"):
    """The next page returns conversations with their newest messages."""

    position: Position = {}


class SkippingOne(_Value, frozen=True, tag="skipping_one"):
    """One conversation spoils the page: it is listed alone, by id and time, and read by itself."""

    position: Position


class Rewinding(_Value, frozen=True, tag="rewinding"):
    """A cursor failed: from the top, by ids and times, back down to the page that was read last."""

    position: Position = {}


class VerifyingCursor(_Value, frozen=True, tag="verifying_cursor"):
    """A stored cursor is only a hint: believed when its page still overlaps the one that was read."""

    position: Position


class VerifyingLast(_Value, frozen=True, tag="verifying_last"):
    """A page names itself as its next: its first row alone shows the cursor that leads behind that row."""

    position: Position


class VerifyingEnd(_Value, frozen=True, tag="verifying_end"):
    """Behind that row, ``behind``, the rest of the page must come, and nothing else if the list is over.

    ``behind`` is "" where the page has one row only, which is asked for again. ``limit`` 0 asks for as much as Meta is
    known to return, whatever it accepted elsewhere.
    """

    position: Position
    behind: str = ""
    limit: int = 0


class CatchingUp(_Value, frozen=True, tag="catching_up"):
    """The top again, by ids and times, down to where the pass before began: what moved while the list was read?"""

    position: Position = {}


class ListEvidence(_Value, frozen=True):
    """Why a list counts as read; made by ``list_walk`` alone, when a pass has proved it."""

    proof: str
    passes: int


class Ended(_Value, frozen=True, tag="ended"):
    """Every conversation of the window that the list held was seen."""

    evidence: ListEvidence


Phase = Reading | SkippingOne | Rewinding | VerifyingCursor | VerifyingLast | VerifyingEnd | CatchingUp | Ended


class LastPage(_Value, frozen=True):
    """The page that was read last: how it was asked for, its ids, and its newest ``updated_time``."""

    position: Position
    ids: list[str]
    newest: str


class ListState(_State):
    """Where one list of conversations has been read to; times are in the form of the rows, "" where there is none.

    ``bound`` is the time below which nothing is wanted in this pass. ``top`` is the time at the top when the pass
    began. ``lowest`` is the oldest time that the pass has seen, and ``tied`` the ids of that very time. ``rises``
    counts the rows that contradict the order. ``passes`` counts the catch-up passes, ``quiet_passes`` those at the end
    that found no new conversation. ``imposed_size`` is the largest page that was shorter than asked for though more
    followed, ``short_page`` one of which that is not known yet. ``ended_in_itself``: the last page that names itself
    was taken for the end of a pass.
    """

    bound: str
    phase: Phase = msgspec.field(default_factory=Reading)
    top: str = ""
    lowest: str = ""
    tied: list[str] = []
    previous: str = ""
    rises: int = 0
    rows_below: int = 0
    rows_seen: int = 0
    calls: int = 0
    stale_pages: int = 0
    recoveries: int = 0
    isolated: int = 0
    imposed_size: int = 0
    short_page: int = 0
    ended_in_itself: bool = False
    passes: int = 0
    quiet_passes: int = 0
    has_news: bool = False
    has_new_conversations: bool = False
    last_page: LastPage | None = None


class Count(_State):
    """How many messages Meta ``told`` when a reading of a conversation began, and how many of them it has ``met``.

    The number alone proves nothing: of the messages that were met some may be gone from it, and others may have come
    since. So only those up to the ``newest`` that can have been counted count, each once, and only those that one
    reading from the newest to the oldest meets: the next one begins with a number of its own. ``unclear`` are those
    without id or time, which may have come twice.

    ``mark`` is the time of the oldest message met and ``mark_ids`` those of that very time; ``met_ids`` is kept instead
    where messages are known to be out of order.
    """

    told: int
    newest: str
    met: int = 0
    unclear: int = 0
    mark: str = ""
    mark_ids: list[str] = []
    met_ids: set[str] | None = None

    def meet(self, message_id: str, created: str) -> None:
        """Counts a message of the reading, unless it came before or is newer than what was counted."""
        if created > self.newest:
            return
        if self.met_ids is not None:
            self.met += message_id not in self.met_ids
            self.met_ids.add(message_id)
        elif not self.mark or created < self.mark:
            self.met, self.mark, self.mark_ids = self.met + 1, created, [message_id]
        elif created == self.mark and message_id not in self.mark_ids:
            self.met, self.mark_ids = self.met + 1, [*self.mark_ids, message_id]

    def is_met(self, *, by_unclear: bool) -> bool:
        """Whether all were met that were counted; ``by_unclear``: those that may have come twice count as well."""
        return self.met + (self.unclear if by_unclear else 0) >= self.told


class ConversationState(_State):
    """How far one conversation has been read, newest message first: counts and marks, never rows.

    ``mark`` is the time of the oldest message seen and ``mark_ids`` those of that very time: what is newer was seen.
    ``newer_than`` restricts the reading to what came since an earlier one. ``limit`` 0: as many messages as usual.
    ``by_itself`` and ``step_over`` say what the next call asks for: the conversation instead of a page of its
    messages; one message by id and time alone. ``verifying`` a page that names itself as its next: its ``last``
    place, and then the ``end`` behind the message ``behind``, as ``VerifyingLast`` and ``VerifyingEnd`` do.
    ``lenient``: rows that are no messages are counted, not refused any more. ``tracked_ids`` are kept once the
    messages turn out not to be in order: then marks say nothing, and what came twice is reduced to one by the
    commit. ``unplaced`` messages belong to no window, ``without_id`` are those of them that lack an id.
    ``on_page_without_id`` are those of the page that is verified, which come again. ``first_undated``: of each page the
    first id without a time, by which it is known when it comes again. ``lacks_newest``: one of them is
    among the newest, which Instagram shows. ``short_page`` and ``imposed_size`` are as in ``ListState``.
    """

    id: str
    updated_time: str | None = None
    participants: list[dict[str, Any]] | None = None
    more_participants: Position = {}
    message_count: int | None = None
    counted: Count | None = None
    position: Position = {}
    by_itself: bool = True
    limit: int = 0
    ids_only: bool = False
    step_over: bool = False
    lenient: bool = False
    verifying: Literal["", "last", "end"] = ""
    behind: str = ""
    deferred: bool = False
    refusal_code: str = ""
    refusal: str = ""
    may_pass: bool = False
    restarts: int = 0
    seen: int = 0
    extracted: int = 0
    unavailable: int = 0
    unavailable_tail: int = 0
    beyond_limit: int = 0
    unplaced: int = 0
    without_id: int = 0
    on_page_without_id: int = 0
    first_undated: set[str] = set()
    lacks_newest: bool = False
    oldest: str = ""
    newest: str = ""
    mark: str = ""
    mark_ids: list[str] = []
    page_ids: list[str] = []
    replayed_to: str = ""
    replayed_ids: list[str] = []
    tracked_ids: set[str] | None = None
    stale_pages: int = 0
    short_page: int = 0
    imposed_size: int = 0
    stepped_over: int = 0
    older_rows: int = 0
    newer_than: str = ""


class Amendment(_State):
    """What a second look at a conversation adds to the ledger row that was written after the first."""

    updated_time: str | None = None
    extracted: int = 0
    unavailable: int = 0
    newest: str = ""
    status: str = ""
    reason_code: str | None = None
    reason: str | None = None


class ExtractionState(_State):
    """One window's extraction. ``lists`` are read in their order; ``conversations`` are those that are open.

    ``reference`` is a time by Meta's clock, ``recent_ids`` the messages from then on, each with its conversation: they
    may come twice while the window is still open. ``doubtful`` are conversations whose ledger row rests on a refusal:
    the next attempt reads them again. ``reread`` may have rows twice, which the commit reduces to one. ``passed`` are
    conversations without anything in the window, and so without a ledger row, with their times: as many as a look at
    the top may meet again.
    ``unplaced`` is how many messages of finished conversations belong to no window.
    """

    lists: list[ListState]
    page_sizes: PageSizes
    conversations: dict[str, ConversationState] = {}
    reference: str = ""
    recent_ids: set[tuple[str, str]] = set()
    doubtful: set[str] = set()
    reread: set[str] = set()
    passed: dict[str, str | None] = {}
    amendments: dict[str, Amendment] = {}
    unplaced: dict[str, int] = {}
    left_out_fields: list[str] = []
    consecutive_limits: int = 0
