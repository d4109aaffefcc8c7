"""Processes as clean as a new interpreter's that have already imported what they run."""

from __future__ import annotations

import multiprocessing

CLEAN = multiprocessing.get_context("forkserver")
"""Forks a process without threads: importing would take each process longer than its work."""

CLEAN.set_forkserver_preload(
    ["tests.integration.extract.kill_target", "tests.integration.extract.test_concurrent_erasures"]
)
