"""The help texts of Airflow's commands, without starting a process for each."""

from __future__ import annotations

import contextlib
import io
from functools import cache

import pytest


@cache
def help_of(*words: str) -> str:
    """The help text of a command such as ``dags trigger``; fails if the command does not exist."""
    from airflow.cli.cli_parser import get_parser

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), pytest.raises(SystemExit) as ended:
        get_parser().parse_args([*words, "--help"])
    assert ended.value.code == 0, printed.getvalue()
    return printed.getvalue()
