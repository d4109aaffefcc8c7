"""The Pages to measure, as numbers: how many conversations, how long, and how much a call may request."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

GOLDEN_RATIO = 0.6180339887498949
LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Shape:
    """One Page, and the limits for all competitors.

    ``fresh`` conversations have one message each in the window; with ``incremental`` only those are requested.
    ``whole_task`` includes our call for the Page's token, which the operator's task makes. ``skewed``: most
    conversations are short and a few very long, regardless of ``length``. ``only_ours``: others would take hours.
    """

    name: str
    about: str
    threads: int
    length: int
    page_size: int
    nested: int
    follow_up: int
    latency_ms: int = 0
    fresh: int = 0
    incremental: bool = False
    skewed: bool = False
    only_ours: bool = False

    @property
    def messages(self) -> int:
        """The number of messages in a complete extraction."""
        return self.fresh if self.incremental else sum(map(self.length_of, range(self.threads)))

    def length_of(self, thread: int) -> int:
        """The number of messages in a conversation, without the fresh one."""
        if not self.skewed:
            return self.length
        # A Pareto distribution at evenly spread quantiles: half are at most 3, 8.5 on average, 4.2 % above 25, 0.7 %
        # above 100.
        place = (thread * GOLDEN_RATIO) % 1 or 1.0
        length: int = round(2 * place**-0.8)
        return max(1, min(LONGEST, length))

    @property
    def whole_task(self) -> bool:
        return self.incremental

    def expected_ids(self) -> set[str]:
        """The ids of all messages in a complete extraction."""
        threads = self.fresh if self.incremental else self.threads
        lengths = [1 if self.incremental else self.length_of(thread) for thread in range(threads)]
        return {message_id(thread, number) for thread in range(threads) for number in range(lengths[thread])}

    def all_ids(self) -> set[str]:
        """The ids of all messages of the Page."""
        lengths = [self.length_of(thread) + (thread < self.fresh) for thread in range(self.threads)]
        return {message_id(n, number) for n in range(self.threads) for number in range(lengths[n])}

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Shape:
        return cls(**json.loads(text))

    def at(self, latency_ms: int) -> Shape:
        """The same Page with another latency."""
        return replace(self, latency_ms=latency_ms)


def message_id(thread: int, number: int) -> str:
    """An id derived from its position, so that both sides can compute it; about as long as Meta's."""
    return f"m_{thread:06d}.{number:07d}.YWdCMVFlUkxoT0RFd01qYzVOemc1T0RZAZA3Nzc2NTQzMjEwOTg3NjU0MzIx"


D = Shape("D", "1,000 conversations of 8 messages", 1_000, 8, page_size=50, nested=25, follow_up=25, latency_ms=40)
B = Shape("B", "100 conversations of 60 messages", 100, 60, page_size=25, nested=25, follow_up=25, latency_ms=40)
E = Shape("E", "60,000 messages in 1,000 conversations of 60", 1_000, 60, page_size=25, nested=25, follow_up=25)
H = Shape("H", "one conversation of 20,000 messages", 1, 20_000, page_size=25, nested=25, follow_up=100)
U = replace(D, name="U", about="the Page of D, nothing new", incremental=True)
I = replace(D, name="I", about="the Page of D, 10 conversations changed", incremental=True, fresh=10)  # noqa: E741
I_LARGE = replace(I, name="I10k", about="10,000 conversations, 10 changed", threads=10_000)
I_MANY = replace(I_LARGE, name="I10k+", about="10,000 conversations, 100 changed", fresh=100)
MILLION = replace(
    E, name="1M", about="a million messages in 16,667 conversations of 60", threads=16_667, only_ours=True
)

SHAPES = {shape.name: shape for shape in (D, B, E, H, U, I, I_LARGE, I_MANY, MILLION)}
