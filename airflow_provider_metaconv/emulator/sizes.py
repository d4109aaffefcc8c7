"""How many messages go where: most threads are short, a few are very long."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

SMALL_WEIGHTS = (20, 18, 14, 11, 9, 8, 6, 5, 5, 4)  # of 1, 2, … 10 messages


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a total by weights into whole numbers that sum up to it exactly."""
    whole = sum(weights)
    parts = [int(total * weight / whole) for weight in weights]
    parts[0] += total - sum(parts)
    return parts


def thread_sizes(random: Random, total: int, *, largest: bool) -> list[int]:
    """Return thread sizes that sum up to the total, in random order.

    About a sixth of the messages lies in threads of hundreds and a sixth in threads of dozens; with
    ``largest`` there is one thread of more than 1,000 where the total permits.
    """
    sizes = []
    rest = total
    if largest and total >= 7_000:
        sizes.append(random.randint(1_050, min(1_800, total // 5)))
        rest -= sizes[0]
    for low, high, share in ((110, 450, 6), (21, 95, 6)):
        budget = rest // share
        while budget > high:
            sizes.append(random.randint(low, high))
            budget -= sizes[-1]
            rest -= sizes[-1]
    while rest > 0:
        sizes.append(min(rest, random.choices(range(1, 11), SMALL_WEIGHTS)[0]))
        rest -= sizes[-1]
    random.shuffle(sizes)
    return sizes
