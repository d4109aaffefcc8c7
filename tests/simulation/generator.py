"""Generates a scenario from a seed: the same on every machine and in every process."""

from __future__ import annotations

import dataclasses
from random import Random

from airflow_provider_metaconv.emulator.faults import FAULTS
from tests.simulation.faults import LEADING_BACK, LIMITS_WITHOUT_HINT, MALFORMED, SHAPES, is_limit
from tests.simulation.scenario import (
    ArrivalPlan,
    Bare,
    Content,
    ConversationPlan,
    CrashKind,
    CrashPlan,
    Damaged,
    DamageKind,
    DamagePlan,
    ErasurePlan,
    FaultPlan,
    RetentionPlan,
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
"""Such a response cannot be told from a correct one, so no guarantee covers it."""

HABITS = (*sorted(SHAPES), "unix_times", "foreign_usage", "stale_updated_time")
"""Meta's permanent behaviours."""

GENERATED_FAULTS = tuple(name for name in FAULTS if name not in UNDETECTABLE and name not in HABITS)
"""All kinds of faults that a scenario can contain."""

LEADING_NOWHERE = LEADING_BACK | {"empty_page"}
"""Faults that hide the messages after a page for as long as they last."""

OPTIONAL_FIELDS = (
    *("message_count", "participants", "unread_count", "can_reply", "is_subscribed", "link", "is_owner"),
    *("attachments", "shares", "tags", "story", "reactions", "reply_to", "thread_id"),
)
FIELD_REFUSALS = ("100/field", "12", "10/field", "200/field")
ROUTES = (None, "conversations", "conversation", "messages", "page")


def scenario(seed: int) -> Scenario:
    """Generates the scenario of a seed."""
    random = Random(f"simulation {seed}")
    one = _any_scenario(random, seed)
    alone = random.choices((None, *_ALONE), (90, *_ALONE.values()))[0]
    if alone is not None and not _has_stale_times(one.world):
        # Nothing else goes wrong, so that the cost can be measured.
        world = dataclasses.replace(one.world, arrivals=(), unsent=())
        plain = dataclasses.replace(one, world=world, crashes=(), storage_faults=())
        return dataclasses.replace(plain, faults=alone(random, world))
    # Drawn last, so that earlier draws stay the same.
    damages = _damages(random, one.crashes)
    one = dataclasses.replace(one, damages=damages, hashes_ids=random.random() < 0.2, erasure=_erasure(random))
    return dataclasses.replace(one, retention=_retention(random, one))


def _erasure(random: Random) -> ErasurePlan | None:
    if random.random() < 0.7:
        return None
    return ErasurePlan(random.randint(0, 50), random.choice(("conversation", "conversation", "own")), _kills(random))


def _retention(random: Random, one: Scenario) -> RetentionPlan | None:
    if one.erasure is not None or random.random() < 0.6:
        return None
    # The end of the window is the latest: a window that ends before it leaves by its name, which is another here.
    return RetentionPlan(random.randint(0, one.world.until - 1), _kills(random))


def _kills(random: Random) -> tuple[int, ...]:
    return tuple(random.randint(1, 12) for _ in range(random.choice((0, 1, 1, 3))))


def _any_scenario(random: Random, seed: int) -> Scenario:
    world = _world(random)
    faults = _faults(random, world)
    if any(each.name in LEADING_NOWHERE for each in faults):
        # Hidden messages are detected only by their number, which a message that is listed late changes unnoticed.
        in_time = tuple(each for each in world.arrivals if each.second > LAST_SECOND)
        world = dataclasses.replace(world, arrivals=in_time)
    if _has_stale_times(world):
        # In a list of only ids and times a stale time cannot be detected: no fault may lead to such calls.
        world = dataclasses.replace(world, arrivals=())
        faults = tuple(each for each in faults if is_limit(each.name) or each.route in ("page", "messages"))
    return Scenario(
        seed,
        world,
        faults,
        _crashes(random),
        _storage_faults(random),
        sizes=_sizes(random),
        has_earlier_result=random.random() < 0.3,
        has_earlier_window=random.random() < 0.4,
        accepts_partial=random.random() < 0.4,
    )


def _has_stale_times(world: WorldPlan) -> bool:
    return any(each.name == "stale_updated_time" for each in world.habits)


def _world(random: Random) -> WorldPlan:
    platform = random.choice(("MESSENGER", "MESSENGER", "INSTAGRAM"))
    folders = _folders(random, platform)
    habits = _habits(random)
    most_messages = min([MOST_MESSAGES, *(60 * size for each in habits if (size := dict(each.options).get("size")))])
    conversations = _conversations(random, platform, folders, most_messages)
    known = [each.id for each in conversations]
    return WorldPlan(
        platform=platform,
        conversations=conversations,
        folders=folders,
        since=None if random.random() < 0.4 else random.randint(0, 500),
        until=UNTIL if random.random() < 0.7 else random.randint(501, LAST_SECOND),
        habits=habits,
        old_rows_have_time=random.random() < 0.7,
        arrivals=_arrivals(random, conversations),
        unsent=_unsent(random, known),
        token=random.choices(("user", "own", "other", "other_public"), (150, 48, 1, 1))[0],
    )


def _folders(random: Random, platform: str) -> tuple[str | None, ...]:
    if platform == "INSTAGRAM" or random.random() < 0.75:
        return (None,)
    return tuple(random.sample(("inbox", "page_done", "spam", "other"), random.randint(1, 3)))


def _conversations(
    random: Random, platform: str, folders: tuple[str | None, ...], left: int
) -> tuple[ConversationPlan, ...]:
    low, high = random.choices(((0, 0), (1, 1), (2, 5), (6, 15), (16, 40)), (4, 18, 45, 23, 10))[0]
    # Equal times make pages hard to tell apart.
    times = range(LAST_SECOND + 1) if random.random() < 0.6 else sorted(random.sample(range(LAST_SECOND + 1), 8))
    made = []
    for number in range(random.randint(low, high)):
        count = min(_message_count(random), max(1, left))
        left -= count
        folder = random.choice(folders) or "inbox"
        messages = tuple(random.choice(times) for _ in range(count))
        made.append(ConversationPlan(f"t_{number}", messages, folder, *_oddities(random, platform)))
    return tuple(made)


def _oddities(random: Random, platform: str) -> tuple[int, Content, Bare]:
    """The number of people in a conversation, the content of its messages, and what one of them lacks."""
    people = 2 if random.random() < 0.95 else random.choice((3, 25, 26, 27, 60))
    # Only on Instagram do people have a username, which identifies the business under any of its ids.
    contents: tuple[Content, ...] = ("", "attachments", "no_data", "other_id" if platform == "INSTAGRAM" else "")
    bare: tuple[Bare, ...] = ("", "id", "created_time")
    return people, random.choices(contents, (70, 15, 8, 7))[0], random.choices(bare, (98, 1, 1))[0]


def _message_count(random: Random) -> int:
    low, high = random.choices(((1, 1), (2, 4), (5, 20), (21, 60)), (30, 45, 20, 5))[0]
    return random.randint(low, high)


def _habits(random: Random) -> tuple[FaultPlan, ...]:
    habits = []
    for edge in ("conversations", "messages"):
        for name, share in (("page_size", 0.35), ("first_page", 0.04), ("short_page", 0.04), ("same_cursors", 0.04)):
            if random.random() < share:
                size = (
                    {"size": random.choice((1, 1, 2, 2, 3, 5, 10, 25))} if name.endswith(("size", "first_page")) else {}
                )
                habits.append(_habit(name, edge=edge, **size))
        tail = random.choices(("", "empty_tail", "empty_self_tail", "self_tail"), (80, 12, 4, 4))[0]
        if tail == "self_tail":
            # A full page that names itself may also be in the middle of the list.
            habits = [each for each in habits if dict(each.options)["edge"] != edge]
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


def _arrivals(random: Random, conversations: tuple[ConversationPlan, ...]) -> tuple[ArrivalPlan, ...]:
    if random.random() < 0.6:
        return ()
    calls = sorted(random.randint(1, 30) for _ in range(random.randint(1, 5)))
    newest = {each.id: max(each.messages) for each in conversations} | {"t_new_0": 0, "t_new_1": 0}
    arrivals, newest_of_all = [], LAST_SECOND
    for number, call in enumerate(calls):
        arrivals.append(_arrival(random, call, UNTIL + number, newest, newest_of_all))
        newest_of_all = max(newest_of_all, arrivals[-1].second)
    return tuple(arrivals)


def _arrival(random: Random, call: int, second: int, newest: dict[str, int], newest_of_all: int) -> ArrivalPlan:
    conversation = random.choice(list(newest))
    if random.random() < 0.2:
        # Listed late. A message that moves its conversation into the part already read cannot be found: for such
        # messages the next window starts earlier.
        second = random.randint(0, newest[conversation])
    elif random.random() < 0.2 and newest_of_all < UNTIL - 1:
        # Newer than everything so far, and still in the window.
        second = random.randint(newest_of_all + 1, UNTIL - 1)
    return ArrivalPlan(call, conversation, second)


def _unsent(random: Random, known: list[str]) -> tuple[UnsentPlan, ...]:
    if not known or random.random() < 0.9:
        return ()
    return tuple(UnsentPlan(random.randint(1, 20), random.choice(known)) for _ in range(random.randint(1, 2)))


def _faults(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    low, high = random.choices(((0, 0), (1, 1), (2, 3), (4, 6)), (25, 40, 25, 10))[0]
    faults = tuple(_fault(random, world) for _ in range(random.randint(low, high)))
    for family, share in _FAMILIES.items():
        if random.random() < share:
            faults += family(random, world)
    if any(each.name == "repeated_cursor" for each in faults):
        # Together they form an empty page that names itself, which is how some lists end.
        faults = tuple(each for each in faults if each.name != "empty_page")
    return faults


def _refused_folder(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    """One Messenger folder that is refused, permanently or for a while."""
    folder = random.choice(world.folders)
    if folder is None:
        return ()
    calls, seconds = _duration(random)
    name = random.choice(("10", "200", "3", "1", "2", "html_500", "hang", "empty_object"))
    return (FaultPlan(name, calls=calls, seconds=seconds, options=(("folder", folder),)),)


def _refused_size(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    """Calls for more than a number of rows, often one, are refused."""
    over = random.choice(("limit_over", "limit_over", "nested_limit_over", "more_than"))
    name = random.choice(("100/limit", "1", "-2/2534084", "hang", "html_504", "2"))
    most = max(random.choice((1, 1, 1, 2, 5, 20, 50)), _fewest_rows(world))
    if name == "100/limit":
        # Meta's text names the largest limit, which more_than would contradict for a list of ids.
        over = random.choice(("limit_over", "nested_limit_over"))
    route = random.choice((None, "conversations", "messages")) if over == "limit_over" else None
    return (FaultPlan(name, route, options=((over, most),)),)


def _fewest_rows(world: WorldPlan) -> int:
    """The fewest rows that a call must be able to request: a last row that names itself looks like any other."""
    return 2 if any(each.name == "self_tail" for each in world.habits) else 1


def _refused_field(random: Random, _: WorldPlan) -> tuple[FaultPlan, ...]:
    """One or two fields that Meta has removed."""
    fields = random.sample(OPTIONAL_FIELDS, random.choice((1, 1, 2)))
    first_call = random.choice((1, 1, 4, 10))
    return tuple(
        FaultPlan(random.choice(FIELD_REFUSALS), first_call=first_call, options=(("field", field),)) for field in fields
    )


def _hour_of_limits(random: Random, _: WorldPlan) -> tuple[FaultPlan, ...]:
    """A limit without an estimate, for an hour."""
    name, first_call = random.choice(LIMITS_WITHOUT_HINT), random.randint(1, 8)
    # Limits without a route do not apply to the call for the Page's token.
    route = "page" if first_call == 1 else None
    return (FaultPlan(name, route, first_call=first_call, seconds=3_600.0),)


def _poisoned_conversations(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    """A few conversations that make every list with their data fail, each in its own way."""
    names = [each.id for each in world.conversations]
    bad = random.sample(names, min(len(names), random.choice((1, 1, 2, 3, 5))))
    error = random.choice(("1", "1", "2", "html_500", "-2/2534084", "hang", "1/99", "reset_before"))
    options = (("error", error), ("alone", random.random() < 0.2))
    return tuple(FaultPlan("poisoned_thread", target=each, options=options) for each in bad)


def _ignored_cursor(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    """Lists that start over instead of continuing, once or permanently."""
    calls, seconds = _duration(random)
    route = random.choice(("conversations", "conversations", "messages", None))
    route = "messages" if _is_cut(world) else route
    return (FaultPlan("ignored_cursor", route, None, random.randint(1, 8), calls, seconds),)


def _is_cut(world: WorldPlan, edge: str = "conversations") -> bool:
    """Whether pages, or the first one, have a single row, or may have one if only two are requested.

    If each page is the first one again, it cannot be told from a list of one row that names itself as its next.
    """
    options = {"edge": edge, "size": 1}
    cuts = [each for each in world.habits if each.name in ("page_size", "first_page")]
    is_short = any(each.name == "short_page" and dict(each.options)["edge"] == edge for each in world.habits)
    return is_short or any(dict(each.options) == options for each in cuts)


def _refused_participants(random: Random, _: WorldPlan) -> tuple[FaultPlan, ...]:
    """The participants after the first 25 are refused, permanently or for a while."""
    calls, seconds = _duration(random)
    return (
        FaultPlan(random.choice(("1", "2", "100/33", "hang", "html_500")), "participants", None, 1, calls, seconds),
    )


def _malformed_token_call(random: Random, _: WorldPlan) -> tuple[FaultPlan, ...]:
    """The Page's node returns a malformed response once, or is refused while the list of accounts has the token."""
    if random.random() < 0.5:
        return (FaultPlan("10", "page"),)
    return (FaultPlan(random.choice(MALFORMED), "page", calls=1),)


def _beyond_detailed(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    """Instagram refuses messages beyond the newest 20 of a conversation, with or without their ids and times."""
    if world.platform != "INSTAGRAM":
        return ()
    reach = random.choice((("alone",), ("alone", "nested_lists")))
    return (FaultPlan("beyond_detailed", options=(("ids_too", random.random() < 0.5), ("reach", reach))),)


def _unreadable_conversation(random: Random, world: WorldPlan) -> tuple[FaultPlan, ...]:
    """One conversation that makes every list fail, so that it is read on its own, and fails there too."""
    if not world.conversations:
        return ()
    conversation = random.choice(world.conversations).id
    calls, seconds = _duration(random)
    poison = (("light", random.random() < 0.3),)
    name = random.choice((*CONVERSATION_FAULTS, *MALFORMED, *MALFORMED, "1", "2", "html_500", "hang", "reset_before"))
    return (
        FaultPlan("poisoned_thread", target=conversation, options=poison),
        FaultPlan(
            name,
            "conversation" if name == "foreign_object" else None,
            conversation,
            1,
            calls,
            seconds,
            options=_options(random, name, world),
        ),
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


_FAMILIES = {
    _unreadable_conversation: 0.12,
    _refused_folder: 0.15,
    _refused_size: 0.08,
    _refused_field: 0.05,
    _hour_of_limits: 0.03,
    _malformed_token_call: 0.04,
    _beyond_detailed: 0.15,
    _refused_participants: 0.06,
    _ignored_cursor: 0.04,
}
"""Fault families that are added to other faults, and how often."""

_ALONE = {_poisoned_conversations: 7, _hour_of_limits: 3}
"""Fault families that occur alone, and in how many of a hundred scenarios."""


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
        # A list row with another conversation's id cannot be told from that conversation's own row.
        route = {"foreign_object": "conversation", "ignored_cursor": "messages"}.get(name)
        return route, random.choice(world.conversations).id
    if name == "ignored_cursor" and _is_cut(world):
        return "messages", None
    if FAULTS[name].stage in ("shape", "change"):
        return random.choice((None, "conversations", "messages")), None
    return random.choices(ROUTES, (20, 50, 12, 12, 6))[0], None


def _options(random: Random, name: str, world: WorldPlan) -> tuple[tuple[str, object], ...]:
    if name == "poisoned_thread":
        return (("light", random.random() < 0.3), ("alone", random.random() < 0.3))
    if name == "too_much_data":
        return (("more_than", max(random.choice((1, 4, 20, 100)), _fewest_rows(world))),)
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
        CrashPlan(random.choice((1, 1, 1, 2, 3)), _point(random), random.choice(kinds))
        for _ in range(random.choice((1, 1, 2)))
    )


def _point(random: Random) -> int:
    """A number of calls or effects: mostly small, up to the length of long attempts."""
    return int(2 ** random.uniform(0, 8))


def _storage_faults(random: Random) -> tuple[StorageFaultPlan, ...]:
    if random.random() < 0.85:
        return ()
    attempt, point, happened = random.choice((1, 1, 2)), _point(random), random.random() < 0.5
    reads = random.random() < 0.4
    # An attempt reads little, mostly at its start and its end.
    point = random.randint(1, 12) if reads else point
    return (StorageFaultPlan(attempt, point, happened, random.choice((1, 1, 2, 5)), reads),)


def _damages(random: Random, crashes: tuple[CrashPlan, ...]) -> tuple[DamagePlan, ...]:
    if random.random() < (0.7 if crashes else 0.97):
        return ()
    files: tuple[Damaged, ...] = ("checkpoint", "segment", "part")
    kinds: tuple[DamageKind, ...] = ("truncate", "flip", "value", "delete")
    file = random.choice(files)
    kind = random.choice(kinds if file == "checkpoint" else tuple(each for each in kinds if each != "value"))
    return (DamagePlan(random.choice((2, 2, 3)), file, kind, random.randint(0, 999)),)


def _sizes(random: Random) -> tuple[int, int, int] | None:
    if random.random() < 0.4:
        return None
    return random.choice((1, 2, 3, 5, 10, 50)), random.choice((1, 2, 3, 8, 25)), random.choice((1, 2, 8, 25, 100))
