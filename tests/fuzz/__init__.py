"""Fuzzing of what comes from outside; the corpus and what was found are replayed by the suite."""

from pathlib import Path

NAMES = [
    "extraction",
    "response",
    "headers",
    "edge",
    "manifest",
    "coverage",
    "checkpoint",
    "window",
    "connection",
    "settings",
]

SLOW = {"extraction": 6, "checkpoint": 2}
"""What needs more than one share of the time."""

CORPUS = Path(__file__).with_name("corpus")
FINDINGS = Path(__file__).with_name("findings")
GROWING = Path(__file__).parents[2] / ".fuzz"
"""What a run has learned, for the next one on this machine; not in the repository."""
