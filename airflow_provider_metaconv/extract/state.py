"""The state of an extraction as typed values. Besides rows, a checkpoint contains nothing else.

Calls in flight are not part of the state: an attempt that continues plans them again. Apart from the page sizes that
Meta accepts, neither are refusals: a failure ends the attempt, and the next attempt tries again.
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
    """One conversation makes the page fail, so it is listed alone, with ID and time only, and read separately."""

    position: Position


class Rewinding(_Value, frozen=True, tag="rewinding"):
    """A cursor failed: list IDs and times from the top again, down to the page that was read last."""

    position: Position = {}


class VerifyingCursor(_Value, frozen=True, tag="verifying_cursor"):
    """A stored cursor is only a hint. It is trusted if its page still overlaps the last page."""

    position: Position


class VerifyingLast(_Value, frozen=True, tag="verifying_last"):
    """A page names itself as its next page. Requesting only its first row reveals the cursor that follows that row."""

    position: Position


class VerifyingEnd(_Value, frozen=True, tag="verifying_end"):
    """After that row, ``behind``, only the rest of the page may follow if the list has ended.

    ``behind`` is "" if the page has only one row, which is then requested again. ``limit`` 0 requests as many rows as
    Meta is known to return, whatever it accepted elsewhere.
    """

    position: Position
    behind: str = ""
    limit: int = 0


class CatchingUp(_Value, frozen=True, tag="catching_up"):
    """The top is listed again, with IDs and times only, down to where the previous pass started, to find what moved."""

    position: Position = {}


class ListEvidence(_Value, frozen=True):
    """Why a list counts as read. Only ``list_walk`` creates it, when a pass has proved it."""

    proof: str
    passes: int


class Ended(_Value, frozen=True, tag="ended"):
    """Every conversation of the window in the list was seen."""

    evidence: ListEvidence


Phase = Reading | SkippingOne | Rewinding | VerifyingCursor | VerifyingLast | VerifyingEnd | CatchingUp | Ended


class LastPage(_Value, frozen=True):
    """The page that was read last: its position, its IDs, and its newest ``updated_time``."""

    position: Position
    ids: list[str]
    newest: str


class ListState(_State):
    """The position in one list. Times are in the rows' format, "" if there is none.

    ``bound`` is the time below which this pass needs nothing. ``top`` is the time at the top when the pass started.
    ``lowest`` is the oldest time seen in the pass, and ``tied`` holds the IDs with exactly that time. ``rises`` counts
    the rows that contradict the order. ``passes`` counts the catch-up passes, and ``quiet_passes`` the latest ones
    without a new conversation. ``imposed_size`` is the size of the largest page that was shorter than requested
    although more rows followed; ``short_page`` is the size of one for which that is not known yet. ``ended_in_itself``
    means that a page that names itself was taken as the end of a pass.
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
    """How many messages Meta reported (``told``) when the reading of a conversation started, and how many were ``met``.

    The number alone proves nothing: some of the messages may have been deleted since, and others added. So only
    messages up to ``newest``, the time of the count, are counted, each one once, within one reading from the newest to
    the oldest; the next reading starts with a new number. ``unclear`` counts messages without an ID or a time, which
    may be repetitions.

    ``mark`` is the time of the oldest message met, and ``mark_ids`` the IDs with exactly that time. ``met_ids`` is used
    instead if the messages are known to be out of order.
    """

    told: int
    newest: str
    met: int = 0
    unclear: int = 0
    mark: str = ""
    mark_ids: list[str] = []
    met_ids: set[str] | None = None

    def meet(self, message_id: str, created: str) -> None:
        """Count a message of the reading, unless it is a repetition or newer than the count."""
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
        """Whether all reported messages were met; ``by_unclear`` includes messages that may be repetitions."""
        return self.met + (self.unclear if by_unclear else 0) >= self.told


class ConversationState(_State):
    """How far one conversation has been read, newest message first: counts and marks, but no rows.

    * ``mark`` is the time of the oldest message seen, and ``mark_ids`` the IDs with exactly that time: anything newer
      was seen. ``tracked_ids`` is used instead once the messages turn out to be out of order; the commit then removes
      duplicates.
    * ``newer_than`` restricts the reading to messages after an earlier one. ``limit`` 0 means the usual page size.
    * ``by_itself`` and ``step_over`` determine the next call: the conversation node instead of a page of its messages,
      or one message with ID and time only.
    * ``verifying`` is set while a page that names itself as its next page is verified: its ``last`` row, and then the
      ``end`` after the message ``behind``, as in ``VerifyingLast`` and ``VerifyingEnd``.
    * ``lenient`` counts rows that are not messages, instead of refusing them.
    * ``unplaced`` messages have no known window; ``without_id`` of them have no ID, and ``on_page_without_id`` of these
      are on the page that is being verified, and will be repeated. ``lacks_newest`` means that one of the unplaced
      messages is among the newest, which Instagram returns.
    * ``first_undated`` holds the first ID without a time of each page, to recognise repeated pages.
    * ``folder`` is the one whose list has it, and ``extra`` its further fields.
    * ``suppressed`` conversations are of a person on the suppression list: nothing of them is written.
    * ``short_page`` and ``imposed_size`` are as in ``ListState``.
    """

    id: str
    updated_time: str | None = None
    participants: list[dict[str, Any]] | None = None
    more_participants: Position = {}
    message_count: int | None = None
    unread_count: int | None = None
    can_reply: bool | None = None
    is_subscribed: bool | None = None
    link: str | None = None
    folder: str | None = None
    extra: dict[str, Any] | None = None
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
    suppressed: bool = False


class Amendment(_State):
    """What a second reading of a conversation adds to the ledger row that was written after the first."""

    updated_time: str | None = None
    extracted: int = 0
    unavailable: int = 0
    newest: str = ""
    status: str = ""
    reason_code: str | None = None
    reason: str | None = None


class ExtractionState(_State):
    """The extraction of one window. ``lists`` are read in order; ``conversations`` are the open ones.

    ``reference`` is a time by Meta's clock, and ``recent_ids`` the messages since then, with their conversations:
    they may be repeated while the window is still open. ``doubtful`` conversations, each with its folder, have a ledger
    row that is based on a refusal, and are read again by the next attempt. ``reread`` conversations may have duplicate
    rows, which the commit removes. ``passed`` conversations, by stored ID, have nothing in the window and so no ledger
    row; their times are kept for as many as a catch-up pass may meet again. ``unplaced`` counts messages of finished
    conversations without a known window.
    """

    lists: list[ListState]
    page_sizes: PageSizes
    conversations: dict[str, ConversationState] = {}
    reference: str = ""
    recent_ids: set[tuple[str, str]] = set()
    doubtful: dict[str, str | None] = {}
    reread: set[str] = set()
    passed: dict[str, str | None] = {}
    amendments: dict[str, Amendment] = {}
    unplaced: dict[str, int] = {}
    left_out_fields: list[str] = []
    consecutive_limits: int = 0
