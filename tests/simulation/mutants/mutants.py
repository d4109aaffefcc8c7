"""The mutants: one deliberate break of the core for each of the guarantees G1 to G8, as data.

A mutant replaces an exact text of one file. Where code changes so that its text is gone, write the same break anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A break of one guarantee: ``new`` in place of ``old``, which is in ``file`` of the package exactly once.

    ``noticed_as`` are other guarantees as whose break the simulation may report it first; ``why`` says why. ``seed`` is
    one that finds it, tried before all others.
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
        "A list counts as read after its first pass, whatever moved above the reader meanwhile.",
        "extract/list_walk.py",
        "if state.calls == 1:",
        "if state.calls >= 1:",
    ),
    Mutant(
        "G2",
        "A list whose first call was refused counts as read by the next attempt.",
        "extract/list_walk.py",
        "elif state.last_page is None:\n        state.phase = Reading()",
        'elif state.last_page is None:\n        state.phase = _ended(state, "resumed")',
        noticed_as=("G1",),
        why="what can be seen of it is a complete result without a list call that has shown the end",
    ),
    Mutant(
        "G3",
        "A commit compares nothing with what an earlier extraction of the window published.",
        "files/commit.py",
        "earlier = earlier_manifest(storage)\n",
        "earlier = None\n",
    ),
    Mutant(
        "G4",
        "The table extraction_windows calls every window complete.",
        "files/ledger_rows.py",
        "(WindowStatus.COMPLETE if is_complete else WindowStatus.PARTIAL).value",
        "WindowStatus.COMPLETE.value",
        seed=142,
    ),
    Mutant(
        "G5",
        "A conversation that comes without its list of messages counts as one that has none.",
        "extract/conversation.py",
        "conversation.by_itself = False\n            return []",
        "conversation.position = ENDED\n            return []",
        noticed_as=("G1",),
        why="where the conversation has messages, what is seen of it is a complete one without them",
        seed=170,
    ),
    Mutant(
        "G6",
        "What cannot be read of one conversation in another way ends the attempt.",
        "extract/conversation.py",
        "defer(conversation, error)\n\n    def _avoid_unavailable(",
        "raise error\n\n    def _avoid_unavailable(",
    ),
    Mutant(
        "G7",
        "A pass that finds nothing new is followed by another one, ten times over.",
        "extract/list_walk.py",
        "elif state.passes and not state.has_news:",
        "elif state.passes > QUIET_PASSES and not state.has_news:",
    ),
    Mutant(
        "G8",
        "A list that is refused is never asked for fewer than ten ids.",
        "extract/page_sizes.py",
        "self.ids = max(min(self.ids, tried // 2), 1)",
        "self.ids = max(min(self.ids, tried // 2), 10)",
        noticed_as=("G7",),
        why="the smallest call is asked again without end, which is noticed by the number of calls",
    ),
)
