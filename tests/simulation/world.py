"""A scenario's world in the emulator, and what happens in it while somebody reads."""

from __future__ import annotations

from airflow_provider_metaconv.emulator.generate import make_page
from airflow_provider_metaconv.emulator.model import INSTAGRAM, Message, Thread
from airflow_provider_metaconv.emulator.world import World
from tests.simulation.scenario import PAGE_ID, START, ConversationPlan, WorldPlan

PRIVATE = "private-text"
"""In the text of every message and in no other place."""


def text_of(message_id: str) -> str:
    """The text of a message."""
    return f"{PRIVATE} {message_id}"


class LiveWorld:
    """The emulator's world; ``lost`` are the messages that were unsent, ``late`` those that came after the start."""

    def __init__(self, plan: WorldPlan) -> None:
        self._plan = plan
        self._page = make_page(0, PAGE_ID)
        self._threads: dict[str, Thread] = {}
        self.lost: set[str] = set()
        self.late: set[str] = set()
        threads = [self._thread(each) for each in plan.conversations]
        self.world = World.from_threads([self._page], threads, START + plan.until)

    @property
    def conversation_ids(self) -> frozenset[str]:
        """All conversations that there are by now."""
        return frozenset(self._threads)

    def happen_after(self, call: int) -> None:
        """Lets arrive and vanish what the plan has for that call."""
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
        for second in sorted(plan.messages):
            thread.add(_message(thread, START + second))
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
        # The list keeps its order: Meta is not known to move a conversation down.
        if thread is not None and len(thread.messages) > 1:
            gone = thread.messages[-2]
            thread.messages.remove(gone)
            self.lost.add(gone.id)


def _message(thread: Thread, moment: int) -> Message:
    sequence = len(thread.messages)
    while any(each.sequence == sequence for each in thread.messages[-2:]):
        sequence += 1
    identifier = f"m_{thread.id}_{sequence}"
    return Message(identifier, moment, sequence, from_page=sequence % 3 == 1, text=text_of(identifier))
