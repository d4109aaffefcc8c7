"""The position of an extraction in a list of conversations: the next request, and how a response changes it. Pure.

The list is sorted by ``updated_time``, newest first, but only the observed order is trusted. A pass ends below the
window's bound after a whole page below it, or ``ROWS_BELOW`` consecutive rows, because a single old row proves nothing
about the rows that follow it.

While the list is being read, new messages move conversations from below the current position to the top. So after the
first pass, the top is listed again, with IDs and times only, down to where the previous pass started, until a pass
finds nothing new or moved. Such a pass proves that the previous one was undisturbed: when it started, nothing was above
what the previous one had seen. A pass of a single call is a snapshot, in which nothing can move, and needs no further
pass.

A list is ended by a lack of progress, not by its cursors: pages with nothing new that lead no further down are a loop,
whatever their cursors are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.extract.page_sizes import IDS_PER_CALL, PageSizes, Sizes
from airflow_provider_metaconv.extract.requests import AT_ONCE, IN_PASSING, PATIENTLY, ListRequest, Position
from airflow_provider_metaconv.extract.rows import effective_time
from airflow_provider_metaconv.extract.state import (
    CatchingUp,
    Ended,
    LastPage,
    ListEvidence,
    ListState,
    Phase,
    Reading,
    Rewinding,
    SkippingOne,
    VerifyingCursor,
    VerifyingEnd,
    VerifyingLast,
)
from airflow_provider_metaconv.graph.errors import Action, CursorError, GraphError, TransientError
from airflow_provider_metaconv.graph.pagination import ResultPage, parse_page
from airflow_provider_metaconv.window import row_time

logger = logging.getLogger(__name__)

Node = dict[str, Any]
Known = Mapping[str, str | None]
"""The conversations seen so far, each with its ``updated_time`` at that time."""

ROWS_BELOW = 10
"""This many consecutive rows below the bound, or a whole page of at least ``FEWEST_BELOW``, end a pass."""

FEWEST_BELOW = 3

FAR = "9999"
"""Later than any time in the rows' format."""

ROWS_PER_RISE = 20
"""One in this many rows may be out of order, such as a conversation with a stale ``updated_time``, before the order is
no longer trusted."""

MAX_RECOVERIES = 3
"""How often a cursor may fail without anything new in between before the list counts as a loop."""

MAX_STALE_PAGES = 10
"""How many consecutive pages may have nothing new and lead no further down."""

QUIET_PASSES = 10
"""After this many passes without a new conversation, a list counts as read even if conversations still move: a missed
one would have had to move during each of the passes."""

MAX_PASSES = 100
"""The maximum number of catch-up passes in one attempt."""


def next_request(state: ListState, sizes: PageSizes) -> ListRequest | None:
    """Return the request that continues the list; None if it is fully read."""
    match state.phase:
        case Ended():
            return None
        case Reading(position) | VerifyingCursor(position) if not state.passes:
            now = sizes.now
            hurried = state.isolated or sizes.list_is_reduced
            return ListRequest(position, now.conversations, now.nested_messages, AT_ONCE if hurried else IN_PASSING)
        case SkippingOne(position) | VerifyingLast(position):
            return ListRequest(position, 1, 0, PATIENTLY)
        case VerifyingEnd(position, _, limit):
            return _ids_request(position, limit or IDS_PER_CALL, hurried=bool(limit))
        case phase:
            return _ids_request(phase.position, sizes.ids, hurried=sizes.ids_are_reduced)


def _ids_request(position: Position, limit: int, *, hurried: bool) -> ListRequest:
    return ListRequest(position, limit, 0, PATIENTLY if limit == 1 else AT_ONCE if hurried else IN_PASSING)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The time range of wanted messages, in the rows' format; ``since`` is "" for a full history."""

    since: str
    until: str


def accept(
    state: ListState, request: ListRequest, page: ResultPage, known: Known, sizes: PageSizes, wanted: Wanted
) -> list[Node]:
    """Apply a page, and return its nodes in order, or none if the page only served to find a position.

    Raises ``CursorError`` if the list loops.
    """
    _note_size(state, request, page, sizes, wanted.since)
    phase = state.phase
    if isinstance(phase, Rewinding):
        _rewind(state, request, page)
        return []
    last = state.last_page
    # The top of the list needs no cursor, and so no verification.
    if isinstance(phase, VerifyingCursor) and request.position and last and not _overlaps(last, page):
        logger.info("The stored cursor no longer leads to the same place: going back to %s from the top", last.newest)
        _start_rewinding(state)
        return []
    _read(state, request, page, known, wanted)
    return page.items


def _note_size(state: ListState, request: ListRequest, page: ResultPage, sizes: PageSizes, since: str) -> None:
    if isinstance(state.phase, SkippingOne):
        state.isolated += 1
        sizes.list_was_not_too_large()
    elif request.ids_only:
        # A verification may request more than Meta accepts elsewhere.
        if not isinstance(state.phase, VerifyingLast | VerifyingEnd):
            sizes.ids_accepted()
    else:
        sizes.list_accepted(len(page.items), *_nested(page.items, since))


def _nested(nodes: Sequence[Node], since: str) -> tuple[int, int]:
    """Count the nested messages, and the conversations with more wanted messages (newer than ``since``)."""
    messages = continued = 0
    for node in nodes:
        rows, has_more = _nested_rows(node)
        messages += len(rows)
        oldest = row_time(rows[-1].get("created_time")) if rows else None
        continued += has_more and (oldest is None or oldest >= since)
    return messages, continued


def _nested_rows(node: Node) -> tuple[list[Node], bool]:
    """Return a node's nested messages and whether there are more; no messages if the edge is not readable."""
    try:
        page = parse_page(node.get("messages"), lenient_rows=True)
    except GraphError:
        return [], False
    return page.items, page.next_parameters is not None


def _overlaps(last: LastPage, page: ResultPage) -> bool:
    return not set(last.ids).isdisjoint(_ids(page.items))


def _is_part(page: ResultPage, last: LastPage | None) -> bool:
    return last is not None and set(_ids(page.items)) <= set(last.ids)


def _ids(nodes: Iterable[Node]) -> list[str]:
    return [str(node["id"]) for node in nodes]


def _read(state: ListState, request: ListRequest, page: ResultPage, known: Known, wanted: Wanted) -> None:
    state.calls += 1
    brings_new = any(conversation_id not in known for conversation_id in _ids(page.items))
    _check_for_missed(state, page.items, known, wanted)
    # A part of the page that is being verified is no progress, whatever its times.
    is_part = isinstance(state.phase, VerifyingLast | VerifyingEnd) and _is_part(page, state.last_page)
    came_behind = _follows_previous_pages(state, page.items, known) and not is_part
    moved_on = _note_rows(state, page.items, known) and not is_part
    state.stale_pages = 0 if moved_on else state.stale_pages + 1
    if brings_new:
        state.recoveries = 0
    times = [time for node in page.items if (time := row_time(node.get("updated_time"))) is not None]
    if came_behind:
        _record_short_page(state, wanted)
    state.short_page = len(page.items) if len(page.items) < request.limit else 0
    if page.items and not is_part:
        state.last_page = LastPage(request.position, _ids(page.items), max(times, default=""))
    following = page.next_parameters
    if following is None:
        _end_pass(state, "the end of the list")
    elif _is_below(state, len(page.items)):
        _end_pass(state, "below the window")
    elif (behind := _behind(state.phase)) and behind in _ids(page.items):
        recover(state, CursorError("Meta ignores the cursors of the list of conversations."))
    elif not moved_on and isinstance(state.phase, VerifyingLast) and page.items:
        is_alone = dict(following) == request.position
        state.phase = VerifyingEnd(dict(following), "" if is_alone else _ids(page.items)[0])
    elif dict(following) == request.position:
        _handle_self_reference(state, request, page, moved_on=moved_on)
    elif state.stale_pages > MAX_STALE_PAGES:
        recover(state, CursorError("The list of conversations loops: its pages have nothing new."))
    else:
        state.phase = _reading(state, dict(following))


def _follows_previous_pages(state: ListState, nodes: Iterable[Node], known: Known) -> bool:
    """Whether a page has rows that follow the previous pages. Newer rows appeared above them and do not count."""
    for node in nodes:
        conversation_id, time = str(node["id"]), effective_time(node)
        if time is None:
            if conversation_id not in known:
                return True
        elif time <= (state.lowest or FAR) and (time != state.lowest or conversation_id not in state.tied):
            return True
    return False


def _record_short_page(state: ListState, wanted: Wanted) -> None:
    """Record a short page that was not the last one: it means that Meta cuts the pages of this list."""
    if state.short_page <= state.imposed_size:
        return
    state.imposed_size = state.short_page
    if state.passes and state.ended_in_itself:
        logger.info("Meta cuts the pages of the list: verifying again whether it ended")
        state.bound, state.rows_below, state.ended_in_itself = wanted.since, 0, False


def _check_for_missed(state: ListState, nodes: Sequence[Node], known: Known, wanted: Wanted) -> None:
    """Continue to the window's start if a pass meets a conversation that the earlier passes must have missed."""
    for node in nodes if state.passes else ():
        time = effective_time(node)
        if time is not None and wanted.since <= time < min(state.bound, wanted.until) and str(node["id"]) not in known:
            logger.warning("Meta's list omitted a conversation before: reading on to the start of the window")
            state.bound = wanted.since
            return


def _note_rows(state: ListState, nodes: Sequence[Node], known: Known) -> bool:
    """Follow the order of a page's rows, and return whether they had anything new or led further down."""
    moved_on = False
    for node in nodes:
        conversation_id, time = str(node["id"]), effective_time(node)
        is_new = conversation_id not in known
        is_news = is_new or (time is not None and (known[conversation_id] or "") < time)
        state.has_new_conversations |= is_new
        state.has_news |= is_news
        moved_on |= is_new
        state.rows_seen += 1
        if time is None:
            state.rows_below = 0
            continue
        _check_order(state, time)
        state.rows_below = state.rows_below + 1 if time < state.bound else 0
        if not state.lowest or time < state.lowest:
            state.lowest, state.tied, moved_on = time, [conversation_id], True
        elif time == state.lowest and conversation_id not in state.tied:
            state.tied.append(conversation_id)
            moved_on = True
    return moved_on


def _check_order(state: ListState, time: str) -> None:
    state.top = state.top or time
    # A conversation above the top has a new message. One that is newer than the row before it, but below the top,
    # contradicts the order.
    if state.previous and state.previous < time < state.top:
        was_in_order = is_in_order(state)
        state.rises += 1
        if state.bound and was_in_order and not is_in_order(state):
            logger.warning(
                "Meta's list is not in order (%s after %s): reading on to its end instead of stopping early",
                time,
                state.previous,
            )
    state.previous = time


def is_in_order(state: ListState) -> bool:
    """Whether the rows came newest first, except for a few that are out of order."""
    return state.rises <= 1 + state.rows_seen // ROWS_PER_RISE


def _is_below(state: ListState, rows: int) -> bool:
    if not is_in_order(state):
        return False
    return state.rows_below >= ROWS_BELOW or state.rows_below >= max(rows, FEWEST_BELOW)


def _reading(state: ListState, position: Position) -> Phase:
    return CatchingUp(position) if state.passes else Reading(position)


def _handle_self_reference(state: ListState, request: ListRequest, page: ResultPage, *, moved_on: bool) -> None:
    """Handle a page that names itself as its next page: the end of the list, or a fault in Meta's paging.

    If Meta ignores cursors, each page is the first one, and also names itself. So the list is ended only by a response
    that cannot be the first page: one that starts after a row of the current page and returns nothing else.
    """
    phase = state.phase
    if isinstance(phase, VerifyingEnd) and not phase.behind and len(page.items) > 1:
        # It also named itself when only its first row was requested, although other rows follow that row.
        recover(state, CursorError("A page of the list of conversations always names itself as its next page."))
    elif moved_on or not isinstance(phase, VerifyingLast | VerifyingEnd):
        state.phase = VerifyingLast(request.position)
    elif not page.items:
        _end_pass(state, "an empty page that names itself")
    elif len(page.items) < request.limit and (_behind(phase) or len(page.items) != state.imposed_size):
        state.ended_in_itself = True
        _end_pass(state, "a last page that names itself")
    else:
        recover(state, CursorError("A full page of the list of conversations names itself as its next page."))


def _behind(phase: Phase) -> str:
    return phase.behind if isinstance(phase, VerifyingEnd) else ""


def _end_pass(state: ListState, proof: str) -> None:
    if state.calls == 1:
        state.phase = _ended(state, f"{proof}, in a single call")
    elif not state.rows_seen:
        state.phase = _ended(state, "no conversations")
    elif state.passes and not state.has_news:
        state.phase = _ended(state, f"{proof}, nothing moved since the pass before")
    elif state.passes and state.quiet_passes >= QUIET_PASSES:
        state.phase = _ended(state, f"{proof}, nothing new in {QUIET_PASSES} passes")
    elif state.passes >= MAX_PASSES:
        raise TransientError(
            f"The list of conversations still has new ones after {MAX_PASSES} passes over its top: try again later."
        )
    else:
        _begin_pass(state, state.top)


def _ended(state: ListState, proof: str) -> Ended:
    return Ended(ListEvidence(proof, state.passes))


def _begin_pass(state: ListState, bound: str, *, has_news: bool = False) -> None:
    state.quiet_passes = 0 if state.has_new_conversations or not state.passes else state.quiet_passes + 1
    state.passes += 1
    state.phase, state.bound = CatchingUp(), bound
    state.top = state.lowest = state.previous = ""
    state.tied, state.last_page = [], None
    state.has_news, state.has_new_conversations = has_news, False
    state.rises = state.rows_below = state.rows_seen = state.calls = state.stale_pages = state.short_page = 0


def is_at_pass_start(state: ListState) -> bool:
    """Whether the next call starts a catch-up pass, before which open conversations must be read."""
    return isinstance(state.phase, CatchingUp) and state.calls == 0


def refuse(state: ListState, request: ListRequest, error: GraphError, sizes: PageSizes) -> None:
    """Choose how to continue after a refusal that a smaller or different request may avoid; otherwise raise it."""
    if isinstance(error, CursorError):
        recover(state, error)
    elif request.is_smallest:
        raise error
    elif isinstance(state.phase, VerifyingEnd):
        # Never fewer than two rows if two are accepted: a single row that names itself may be any row of the list.
        state.phase = VerifyingEnd(request.position, state.phase.behind, (request.limit + 1) // 2)
    elif request.ids_only:
        sizes.ids_refused(request.limit)
    elif error.action in (Action.SKIP, Action.FAIL) and not state.isolated:
        # Requesting IDs only shows whether the list itself is refused.
        state.phase = SkippingOne(request.position)
    elif not sizes.list_refused(Sizes(request.limit, request.nested_messages)):
        state.phase = SkippingOne(request.position)


def recover(state: ListState, error: CursorError) -> None:
    """Go back to the top after a cursor failed; raises the error if that no longer helps."""
    state.recoveries += 1
    if state.recoveries > MAX_RECOVERIES:
        raise error
    logger.info("%s Starting from the top again.", error)
    if state.passes:
        _begin_pass(state, state.bound, has_news=True)
    else:
        _start_rewinding(state)


def _start_rewinding(state: ListState) -> None:
    state.phase = Reading() if state.last_page is None else Rewinding()
    state.previous = state.lowest = ""
    state.tied = []
    state.rows_below = state.stale_pages = state.short_page = 0


def _rewind(state: ListState, request: ListRequest, page: ResultPage) -> None:
    """Search for the page that was read last. Its rows are known and will be skipped."""
    last = state.last_page
    times = [time for node in page.items if (time := row_time(node.get("updated_time"))) is not None]
    is_reached = last is None or _overlaps(last, page) or any(time <= last.newest for time in times)
    following = page.next_parameters
    if is_reached or following is None or dict(following) == request.position:
        state.phase = Reading(request.position)
        return
    lowest = min([state.lowest, *times] if state.lowest else times, default="")
    state.stale_pages = 0 if lowest != state.lowest else state.stale_pages + 1
    if state.stale_pages > MAX_STALE_PAGES:
        raise CursorError("The list of conversations loops: its pages have nothing new.")
    state.lowest = lowest
    state.phase = Rewinding(dict(following))


def resumed(state: ListState) -> None:
    """Prepare a list for an attempt that continues from a checkpoint: earlier failures do not count."""
    state.recoveries = state.stale_pages = state.isolated = 0
    if isinstance(state.phase, Ended):
        return
    if state.passes:
        # An interrupted pass proves nothing, but its conversations are known.
        state.passes = state.quiet_passes = 0
        _begin_pass(state, state.bound, has_news=state.has_news)
    elif state.last_page is None:
        state.phase = Reading()
    else:
        state.previous = ""
        state.phase = VerifyingCursor(state.last_page.position)


def pass_end(state: ListState) -> str:
    """Return the time at which the pass will end; "" if unknown, as for a full history or a catch-up pass."""
    return state.bound if is_in_order(state) and not state.passes and not isinstance(state.phase, Ended) else ""
