"""A scenario's world in the emulator, and what changes in it during an extraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_metaconv.emulator.dataset import make_page
from airflow_provider_metaconv.emulator.models import INSTAGRAM, Message, Thread, World
from tests.simulation.scenario import PAGE_ID, START, Content, ConversationPlan, WorldPlan

OTHER_PAGE_ID = "101"
PRIVATE = "private-text"
"""Part of the text of every message, and of nothing else."""


def text_of(message_id: str) -> str:
    """The text of a message."""
    return f"{PRIVATE} {message_id}"


def people_of(thread: Thread) -> set[str]:
    """The ids of everybody in a conversation."""
    return {each["id"] for each in (thread.page.person(thread.platform), thread.customer, *thread.others)}


class LiveWorld:
    """The emulator's world; ``lost`` has the unsent messages, ``late`` those that arrived after the start.

    ``bare`` maps messages to the name of the value that Meta leaves out.
    """

    def __init__(self, plan: WorldPlan) -> None:
        self._plan = plan
        self._page = make_page(0, PAGE_ID)
        self._threads: dict[str, Thread] = {}
        self.lost: set[str] = set()
        self.late: set[str] = set()
        self.bare: dict[str, str] = {}
        threads = [self._thread(each) for each in plan.conversations]
        pages = [self._page, make_page(1, OTHER_PAGE_ID)] if plan.is_foreign else [self._page]
        self.world = World.from_threads(pages, threads, START + plan.until)

    @property
    def conversation_ids(self) -> frozenset[str]:
        """The ids of all current conversations."""
        return frozenset(self._threads)

    def happen_after(self, call: int) -> None:
        """Adds and removes the messages that the plan has for that call."""
        for arrival in self._plan.arrivals:
            if arrival.call == call:
                self._arrive(arrival.conversation, START + arrival.second)
        for unsent in self._plan.unsent:
            if unsent.call == call:
                self._unsend(unsent.conversation)

    def _thread(self, plan: ConversationPlan) -> Thread:
        number = len(self._threads)
        customer = {"id": str(7_000 + number)}
        if self._plan.platform == INSTAGRAM:
            customer["username"] = f"person.{number}"
        else:
            customer |= {"name": f"Person {number}", "email": f"{number}@facebook.com"}
        thread = Thread(plan.id, self._page, self._plan.platform, number, customer, plan.folder)
        thread.others = tuple(
            {"id": str(800_000 + 100 * number + each), "name": f"Friend {each}"} for each in range(plan.people - 2)
        )
        for second in sorted(plan.messages):
            thread.add(_message(thread, START + second, plan.content))
        if plan.bare:
            self.bare[thread.messages[0].id] = plan.bare
        self._threads[plan.id] = thread
        return thread

    def _arrive(self, conversation: str, moment: int) -> None:
        thread = self._threads.get(conversation)
        if thread is None:
            thread = self._thread(ConversationPlan(conversation, (moment - START,)))
            self.world.add_thread(thread)
            self.late.add(thread.messages[0].id)
            return
        message = _message(thread, moment)
        self.world.add_message(thread, message)
        self.late.add(message.id)

    def _unsend(self, conversation: str) -> None:
        thread = self._threads.get(conversation)
        # The list keeps its order: there is no evidence that Meta moves a conversation down.
        if thread is not None and len(thread.messages) > 1:
            gone = thread.messages[-2]
            thread.messages.remove(gone)
            self.lost.add(gone.id)


def _message(thread: Thread, moment: int, content: Content = "") -> Message:
    # The ids of unsent messages are not reused.
    sequence = 1 + max((each.sequence for each in thread.messages), default=-1)
    identifier = f"m_{thread.id}_{sequence}"
    from_page = sequence % 3 == 1
    carried: Mapping[str, Any] = _CONTENTS.get(content, {}) if sequence % 2 == 0 else {}
    sender = None
    if content == "other_id" and from_page:
        # The business's own name, with an id that its account does not show.
        sender = thread.page.person(thread.platform) | {"id": "9" + thread.page.instagram_id}
    return Message(identifier, moment, sequence, from_page, text_of(identifier), carried, sender=sender)


_CONTENTS: Mapping[str, Mapping[str, Any]] = {
    "attachments": {"attachments": [{"id": "a_1", "mime_type": "image/png", "name": "a.png", "size": 3}]},
    "no_data": {"attachments": {"paging": {}}},
}
