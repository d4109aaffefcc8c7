"""Running counts of one extraction: told in the log while it works, written into the manifest when it is done."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_metaconv.extract.cost import Cost
from airflow_provider_metaconv.extract.ledger import Scope
from airflow_provider_metaconv.extract.progress import Observer, Pace, Place, TryFigures, duration, nobody
from airflow_provider_metaconv.extract.reader import Batch
from airflow_provider_metaconv.records import ConversationStatus

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0


class Tally:
    """Counts what was written, and says so once a minute: in the log, and to ``observe``.

    ``clock`` gives monotonic seconds. ``gaps`` are lists that could not be read to their end, and why.
    """

    def __init__(
        self, scope: Scope, cost: Cost, observe: Observer = nobody, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = f"{scope.platform}/{scope.page_id}"
        self._cost = cost
        self._observe = observe
        self._clock = clock
        self._pace = Pace(clock)
        self._told = clock()
        self._statuses: Counter[str] = Counter()
        self._before = TryFigures()
        self.messages = 0
        self.unavailable = 0
        self.gaps: list[str] = []

    def add(self, batch: Batch, place: Place) -> None:
        """Counts a batch that was written; ``place`` is where the run now is."""
        self.messages += len(batch.messages)
        for row in batch.conversations:
            self._statuses[row["status"]] += 1
            self.unavailable += row["messages_unavailable"]
        self._pace.note(place)
        if self._clock() - self._told >= SECONDS_BETWEEN_LINES:
            left = duration(self._pace.seconds_left(place))
            self.tell("So far", f"; {place}; time left in it at this pace: {left}")
            self.report()

    def tell(self, opening: str, more: str = "") -> None:
        """Writes one line with all counts."""
        self._told = self._clock()
        calls = self._cost.figures()
        logger.info(
            "%s: %s: %d conversations, %d messages, %d calls, fullest limit at %s %%%s",
            opening,
            self._name,
            self.conversations,
            self.messages,
            calls["calls"],
            calls["usage_percent"],
            more,
        )

    def report(self) -> None:
        """Tells the observer what this try has done so far."""
        self._observe(
            TryFigures(
                messages=self.messages - self._before.messages,
                conversations=self.conversations - self._before.conversations,
                incomplete=self.incomplete - self._before.incomplete,
                **self._cost.of_this_try(),
            )
        )

    def state(self) -> dict[str, Any]:
        """The counts so far, in JSON types."""
        return {
            "statuses": dict(self._statuses),
            "messages": self.messages,
            "unavailable": self.unavailable,
            "gaps": self.gaps,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Goes on from the counts of an earlier try."""
        self._statuses = Counter(state["statuses"])
        self.messages, self.unavailable = state["messages"], state["unavailable"]
        self.gaps = list(state["gaps"])
        self._before = TryFigures(messages=self.messages, conversations=self.conversations, incomplete=self.incomplete)

    @property
    def conversations(self) -> int:
        """Conversations in the ledger."""
        return self._statuses.total()

    @property
    def incomplete(self) -> int:
        """Conversations of which something is missing, and lists that have a gap."""
        return self.conversations - self._statuses[ConversationStatus.COMPLETE] + len(self.gaps)

    def figures(self) -> dict[str, Any]:
        """The counts for a manifest, the cost of the calls included."""
        figures = {
            "conversations": self.conversations,
            "messages": self.messages,
            "messages_unavailable": self.unavailable,
            "incomplete": self.incomplete,
            "incomplete_by_status": {
                status.value: self._statuses[status]
                for status in ConversationStatus
                if status is not ConversationStatus.COMPLETE and self._statuses[status]
            },
            **self._cost.figures(),
        }
        return figures | {"gaps": self.gaps} if self.gaps else figures
