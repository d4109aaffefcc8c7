"""Fuzzing of external input. The test suite replays the corpus and the findings."""

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
"""Targets that need more than one share of the time."""

CORPUS = Path(__file__).with_name("corpus")
FINDINGS = Path(__file__).with_name("findings")
GROWING = Path(__file__).parents[2] / ".fuzz"
"""The corpus that runs on this machine have collected; not in the repository."""
