"""The mutants, as data: one deliberate break of the core for each of the guarantees G1 to G9.

A mutant replaces an exact text of one file. If a code change removes this text, write the same break for the new code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A break of one guarantee: ``new`` replaces ``old``, which must be in ``file`` of the package exactly once.

    ``noticed_as``: other guarantees whose violation the simulation may report first; ``why`` gives the reason. ``seed``
    finds the mutant and is tried first.
    """

    guarantee: str
    breaks: str
    file: str
    old: str
    new: str
    noticed_as: tuple[str, ...] = ()
    why: str = ""
    seed: int = 0


MUTANTS = (
    Mutant(
        "G1",
        "A list counts as read after its first pass, even if conversations moved above the reader meanwhile.",
        "extract/list_walk.py",
        "if state.calls == 1:",
        "if state.calls >= 1:",
        seed=273,
    ),
    Mutant(
        "G2",
        "A list whose first call was refused counts as read by the next attempt.",
        "extract/list_walk.py",
        "elif state.last_page is None:\n        state.phase = Reading()",
        'elif state.last_page is None:\n        state.phase = _ended(state, "resumed")',
        noticed_as=("G1",),
        why="the visible effect is a complete result without a list call that showed the end",
        seed=14,
    ),
    Mutant(
        "G3",
        "A commit ignores the result of an earlier extraction of the window.",
        "files/commit.py",
        "earlier = earlier_manifest(storage)\n",
        "earlier = None\n",
        seed=89,
    ),
    Mutant(
        "G4",
        "The table extraction_windows calls every window complete.",
        "files/ledger_rows.py",
        "(WindowStatus.COMPLETE if is_complete else WindowStatus.PARTIAL).value",
        "WindowStatus.COMPLETE.value",
        seed=324,
    ),
    Mutant(
        "G5",
        "A conversation without its list of messages counts as one without messages.",
        "extract/conversation.py",
        "conversation.by_itself = False\n            return []",
        "conversation.position = ENDED\n            return []",
        noticed_as=("G1",),
        why="if the conversation has messages, the visible effect is a complete one without them",
        seed=781,
    ),
    Mutant(
        "G6",
        "A conversation that cannot be read in any other way ends the attempt.",
        "extract/conversation.py",
        "defer(conversation, error)\n\n    def _avoid_unavailable(",
        "raise error\n\n    def _avoid_unavailable(",
        seed=757,
    ),
    Mutant(
        "G7",
        "A pass that finds nothing new is followed by ten more.",
        "extract/list_walk.py",
        "elif state.passes and not state.has_news:",
        "elif state.passes > QUIET_PASSES and not state.has_news:",
        seed=261,
    ),
    Mutant(
        "G8",
        "A refused list is never requested with fewer than ten ids.",
        "extract/page_sizes.py",
        "self.ids = max(min(self.ids, tried // 2), 1)",
        "self.ids = max(min(self.ids, tried // 2), 10)",
        noticed_as=("G7",),
        why="the smallest call is repeated endlessly, which the number of calls reveals",
        seed=839,
    ),
    Mutant(
        "G9",
        "A checkpoint is not sealed, although the policy hashes the people in it.",
        "extract/checkpoint.py",
        "encoded = msgspec.json.encode(self._pseudonyms.seal(encoded).decode())",
        "pass",
        seed=814,
    ),
)
