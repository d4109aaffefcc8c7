"""Running counts of one extraction: told in the log while it works, written into the manifest when it is done."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_metaconv.extract.cost import Cost
from airflow_provider_metaconv.extract.ledger import Scope
from airflow_provider_metaconv.extract.reader import Batch
from airflow_provider_metaconv.records import ConversationStatus

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0


class Tally:
    """Counts what was written, and says so once a minute; ``clock`` gives monotonic seconds."""

    def __init__(self, scope: Scope, cost: Cost, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = f"{scope.platform}/{scope.page_id}"
        self._cost = cost
        self._clock = clock
        self._told = clock()
        self._statuses: Counter[str] = Counter()
        self.messages = 0
        self.unavailable = 0

    def add(self, batch: Batch) -> None:
        """Counts a batch that was written."""
        self.messages += len(batch.messages)
        for row in batch.conversations:
            self._statuses[row["status"]] += 1
            self.unavailable += row["messages_unavailable"]
        if self._clock() - self._told >= SECONDS_BETWEEN_LINES:
            self.tell("So far")

    def tell(self, opening: str) -> None:
        """Writes one line of progress."""
        self._told = self._clock()
        calls = self._cost.figures()
        logger.info(
            "%s: %s: %d conversations, %d messages, %d calls, fullest limit at %s %%",
            opening,
            self._name,
            self.conversations,
            self.messages,
            calls["calls"],
            calls["usage_percent"],
        )

    def state(self) -> dict[str, Any]:
        """The counts so far, in JSON types."""
        return {"statuses": dict(self._statuses), "messages": self.messages, "unavailable": self.unavailable}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Goes on from the counts of an earlier try."""
        self._statuses = Counter(state["statuses"])
        self.messages, self.unavailable = state["messages"], state["unavailable"]

    @property
    def conversations(self) -> int:
        """Conversations in the ledger."""
        return self._statuses.total()

    @property
    def incomplete(self) -> int:
        """Conversations of which something is missing."""
        return self.conversations - self._statuses[ConversationStatus.COMPLETE]

    def figures(self) -> dict[str, Any]:
        """The counts for a manifest, the cost of the calls included."""
        return {
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
