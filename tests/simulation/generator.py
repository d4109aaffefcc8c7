"""From a seed to a scenario: the same one on every machine and in every process."""

from __future__ import annotations

from random import Random

from airflow_provider_metaconv.emulator.faults import FAULTS
from tests.simulation.faults import MALFORMED, SHAPES, is_limit
from tests.simulation.scenario import (
    ArrivalPlan,
    ConversationPlan,
    CrashKind,
    CrashPlan,
    FaultPlan,
    Scenario,
    StorageFaultPlan,
    UnsentPlan,
    WorldPlan,
)

LAST_SECOND = 600
UNTIL = 700
MOST_MESSAGES = 500
MANY_HOURS = 6 * 3_600.0
TOKEN_FAULTS = tuple(name for name in FAULTS if name.split("/")[0] in {"5", "21", "102", "104", "190", "368", "2635"})
CONVERSATION_FAULTS = tuple(name for name in ("10", "100/33", "200", "230", "9000001", "551") if name in FAULTS)
UNDETECTABLE = frozenset({"no_paging_next"})
"""Nobody can tell such an answer from an honest one, so that no promise covers it."""

HABITS = (*SHAPES, "unix_times", "foreign_usage", "stale_updated_time")
"""What a healthy Page may do at any time."""

GENERATED_FAULTS = tuple(name for name in FAULTS if name not in UNDETECTABLE and name not in HABITS)
"""All kinds of faults that a scenario can have."""

ROUTES = (None, "conversations", "conversation", "messages", "page")


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    random = Random(f"simulation {seed}")
    world = _world(random)
    return Scenario(
        seed,
        world,
        _faults(random, world),
        _crashes(random),
        _storage_faults(random),
        _sizes(random),
        has_earlier_result=random.random() < 0.3,
        has_earlier_window=random.random() < 0.4,
        accepts_partial=random.random() < 0.4,
    )


def _world(random: Random) -> WorldPlan:
    platform = random.choice(("MESSENGER", "MESSENGER", "INSTAGRAM"))
    folders = _folders(random, platform)
    habits = _habits(random)
    most_messages = min([MOST_MESSAGES, *(60 * size for each in habits if (size := dict(each.options).get("size")))])
    conversations = _conversations(random, folders, most_messages)
    known = [each.id for each in conversations]
    return WorldPlan(
        platform=platform,
        conversations=conversations,
        folders=folders,
        since=None if random.random() < 0.4 else random.randint(0, 500),
        until=UNTIL if random.random() < 0.7 else random.randint(501, LAST_SECOND),
        habits=habits,
        old_rows_have_time=random.random() < 0.7,
        arrivals=_arrivals(random, known),
        unsent=_unsent(random, known),
    )


def _folders(random: Random, platform: str) -> tuple[str | None, ...]:
    if platform == "INSTAGRAM" or random.random() < 0.75:
        return (None,)
    return tuple(random.sample(("inbox", "page_done", "spam", "other"), random.randint(1, 3)))


def _conversations(random: Random, folders: tuple[str | None, ...], left: int) -> tuple[ConversationPlan, ...]:
    low, high = random.choices(((0, 0), (1, 1), (2, 5), (6, 15), (16, 40)), (4, 18, 45, 23, 10))[0]
    # Equal times are what makes pages hard to tell apart.
    times = range(LAST_SECOND + 1) if random.random() < 0.6 else sorted(random.sample(range(LAST_SECOND + 1), 8))
    made = []
    for number in range(random.randint(low, high)):
        count = min(_message_count(random), max(1, left))
        left -= count
        folder = random.choice(folders) or "inbox"
        made.append(ConversationPlan(f"t_{number}", tuple(random.choice(times) for _ in range(count)), folder))
    return tuple(made)


def _message_count(random: Random) -> int:
    low, high = random.choices(((1, 1), (2, 4), (5, 20), (21, 60)), (30, 45, 20, 5))[0]
    return random.randint(low, high)


def _habits(random: Random) -> tuple[FaultPlan, ...]:
    habits = []
    for edge in ("conversations", "messages"):
        for name, share in (("page_size", 0.35), ("first_page", 0.04), ("short_page", 0.04), ("same_cursors", 0.04)):
            if random.random() < share:
                size = {"size": random.choice((1, 1, 2, 2, 3, 5, 10, 25))} if name.endswith(("size", "first_page")) else {}
                habits.append(_habit(name, edge=edge, **size))
        tail = random.choices(("", "empty_tail", "empty_self_tail", "self_tail"), (80, 12, 4, 4))[0]
        habits += [_habit(tail, edge=edge)] if tail else []
    if random.random() < 0.06:
        habits.append(_habit("time_paging"))
    if random.random() < 0.06:
        habits.append(_habit("unix_times", every_row=random.choice((1, 2, 3))))
    if random.random() < 0.06:
        habits.append(_habit("foreign_usage", percent=100, regain_minutes=random.choice((0, 60))))
    if random.random() < 0.06:
        habits.append(_habit("stale_updated_time", position=random.choice((-1, 0, 1, 3)), seconds=86_400))
    return tuple(habits)


def _habit(name: str, **options: object) -> FaultPlan:
    return FaultPlan(name, options=tuple(options.items()))


def _arrivals(random: Random, known: list[str]) -> tuple[ArrivalPlan, ...]:
    if random.random() < 0.6:
        return ()
    calls = sorted(random.randint(1, 30) for _ in range(random.randint(1, 5)))
    names = [*known, "t_new_0", "t_new_1"]
    seconds = [UNTIL + n if random.random() < 0.8 else random.randint(0, UNTIL) for n in range(len(calls))]
    return tuple(ArrivalPlan(call, random.choice(names), second) for call, second in zip(calls, seconds, strict=True))


def _unsent(random: Random, known: list[str]) -> tuple[UnsentPlan, ...]:
    if not known or random.random() < 0.9:
        return ()
    return tuple(UnsentPlan(random.randint(1, 20), random.choice(known)) for _ in range(random.randint(1, 2)))


def _faults(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    low, high = random.choices(((0, 0), (1, 1), (2, 3), (4, 6)), (25, 40, 25, 10))[0]
    faults = tuple(_fault(random, world) for _ in range(random.randint(low, high)))
    return (*faults, *_spoiled_conversation(random, world)) if random.random() < 0.15 else faults


def _spoiled_conversation(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    """One conversation that spoils each list it is on, so that it is read by itself, and fails there as well."""
    if not world.conversations:
        return ()
    conversation = random.choice(world.conversations).id
    calls, seconds = _duration(random)
    spoils = (("light", random.random() < 0.3),)
    name = random.choice(
        (*CONVERSATION_FAULTS, *MALFORMED, *MALFORMED, "1", "2", "html_500", "hang", "reset_before")
    )
    return (
        FaultPlan("poisoned_thread", target=conversation, options=spoils),
        FaultPlan(name, None, conversation, 1, calls, seconds, options=_options(random, name, world)),
    )


def _fault(random: Random, world: WorldPlan) -> FaultPlan:
    name = random.choices(
        (
            random.choice([name for name in GENERATED_FAULTS if name not in TOKEN_FAULTS]),
            random.choice(MALFORMED),
            random.choice(("1", "1/99", "2", "html_500", "hang", "reset_before")),
            random.choice(TOKEN_FAULTS),
        ),
        (55, 18, 25, 2),
    )[0]
    calls, seconds = _duration(random)
    route, target = _aim(random, name, world)
    return FaultPlan(
        name,
        route,
        target,
        first_call=random.choice((1, 2, 2, 3, random.randint(1, 12), random.randint(1, 40))),
        calls=calls,
        seconds=seconds,
        every=random.choices((1, 2, 3), (80, 12, 8))[0],
        options=_options(random, name, world),
    )


def _duration(random: Random) -> tuple[int | None, float | None]:
    match random.choices(("calls", "minutes", "hours", "for ever"), (55, 17, 10, 18))[0]:
        case "calls":
            return random.choice((1, 1, 1, 2, 3, 5, 8, 20)), None
        case "minutes":
            return None, random.choice((20.0, 60.0, 300.0, 900.0))
        case "hours":
            return None, random.choice((3_600.0, 2 * 3_600.0, MANY_HOURS))
    return None, None


def _aim(random: Random, name: str, world: WorldPlan) -> tuple[str | None, str | None]:
    if name == "too_much_data":
        return None, None
    if name == "poisoned_thread":
        return None, random.choice([each.id for each in world.conversations] or ["t_0"])
    if world.conversations and (name in CONVERSATION_FAULTS or random.random() < 0.2):
        return None, random.choice(world.conversations).id
    if FAULTS[name].stage == "change":
        return random.choice((None, "conversations", "messages")), None
    return random.choices(ROUTES, (20, 50, 12, 12, 6))[0], None


def _options(random: Random, name: str, world: WorldPlan) -> tuple[tuple[str, object], ...]:
    if name == "poisoned_thread":
        return (("light", random.random() < 0.3), ("alone", random.random() < 0.3))
    if name == "too_much_data":
        return (("more_than", random.choice((1, 4, 20, 100))),)
    if name == "hang":
        return (("delay_seconds", random.choice((5.0, 40.0, 3_600.0))),)
    if name == "usage":
        return (("percent", random.choice((50, 85, 99, 100))),)
    if is_limit(name) and random.random() < 0.5:
        return (("regain_minutes", random.choice((1, 20, 60))),)
    return ()


def _crashes(random: Random) -> tuple[CrashPlan, ...]:
    if random.random() < 0.65:
        return ()
    kinds: tuple[CrashKind, ...] = ("before", "after", "lost", "call")
    return tuple(
        CrashPlan(random.choice((1, 1, 1, 2, 3)), random.randint(1, 15), random.choice(kinds))
        for _ in range(random.choice((1, 1, 2)))
    )


def _storage_faults(random: Random) -> tuple[StorageFaultPlan, ...]:
    if random.random() < 0.85:
        return ()
    return (
        StorageFaultPlan(
            random.choice((1, 1, 2)), random.randint(1, 10), random.random() < 0.5, random.choice((1, 1, 2, 5))
        ),
    )


def _sizes(random: Random) -> tuple[int, int, int] | None:
    if random.random() < 0.4:
        return None
    return random.choice((1, 2, 3, 5, 10, 50)), random.choice((1, 2, 3, 8, 25)), random.choice((1, 2, 8, 25, 100))
