"""When people write: by day rather than by night, in bursts, and answered minutes to hours later."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from random import Random

DAY = 86_400
# The weight of each hour of the day, UTC: quiet nights, busy noons and evenings.
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 15, 16, 14, 12, 12, 12, 13, 15, 17, 16, 11, 7, 4)
CUMULATED_HOURS = tuple(accumulate(HOURS))
TYPICAL_REPLY_SECONDS = 1_500.0
SAME_SECOND_SHARE = 0.05


@dataclass(frozen=True)
class Window:
    """The time the world covers, epoch seconds: start included, end excluded."""

    start: int
    end: int

    def inside(self, moment: int) -> int:
        """Return the moment, wrapped around into the window."""
        return self.start + (moment - self.start) % (self.end - self.start)


def message_times(random: Random, size: int, window: Window) -> list[tuple[int, bool]]:
    """Return for each message of a thread its time and whether the Page wrote it, oldest first."""
    times: list[tuple[int, bool]] = []
    while len(times) < size:
        times += _session(random, window)
    # Sessions of one thread may overlap; sorting keeps the order and leaves the mix of directions.
    return sorted(times[:size], key=lambda each: each[0])


def _session(random: Random, window: Window) -> list[tuple[int, bool]]:
    """Return one exchange: the customer writes a little, the Page mostly answers."""
    moment = window.inside(_start(random, window))
    session = [(moment, False)]
    while random.random() < 0.35:
        moment += 0 if random.random() < SAME_SECOND_SHARE * 3 else int(random.expovariate(1 / 45))
        session.append((moment, False))
    if random.random() < 0.85:
        moment += 20 + int(TYPICAL_REPLY_SECONDS * random.lognormvariate(0, 1.3))
        session.append((moment, True))
        while random.random() < 0.3:
            moment += 0 if random.random() < SAME_SECOND_SHARE else int(random.expovariate(1 / 90))
            session.append((moment, random.random() < 0.6))
    return _within(random, session, window)


def _within(random: Random, session: list[tuple[int, bool]], window: Window) -> list[tuple[int, bool]]:
    """Return the session, moved back by an hour or two more than needed where it runs over the end."""
    back = session[-1][0] - (window.end - 1)
    if back <= 0:
        return session
    back += random.randrange(7_200)
    first, last = window.start, window.end - 1
    return [(min(max(moment - back, first), last), from_page) for moment, from_page in session]


def _start(random: Random, window: Window) -> int:
    day = random.randrange(window.start // DAY, window.end // DAY + 1)
    hour = random.choices(range(24), cum_weights=CUMULATED_HOURS)[0]
    return day * DAY + hour * 3_600 + random.randrange(3_600)
