"""Fuzzing of what comes from outside; the corpus and what was found are replayed by the suite."""

from importlib.util import find_spec
from pathlib import Path

NAMES = ["extraction", "response", "headers", "edge", "manifest", "coverage", "checkpoint", "window", "connection"]
if find_spec("airflow_provider_metaconv.operators.dag_settings"):
    NAMES.append("settings")

SLOW = {"extraction": 6, "checkpoint": 2}
"""What needs more than one share of the time."""

CORPUS = Path(__file__).with_name("corpus")
FINDINGS = Path(__file__).with_name("findings")
GROWING = Path(__file__).parents[2] / ".fuzz"
"""What a run has learned, for the next one on this machine; not in the repository."""
