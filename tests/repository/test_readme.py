"""What the README says is what the code does: its tables are derived from the code, its code blocks run."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from airflow_provider_metaconv.dag_settings import SETTINGS
from airflow_provider_metaconv.graph.error_rules import CODE_RANGES, ERROR_RULES
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    CursorError,
    FieldRefusedError,
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    LimitTooHighError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
    TooMuchDataError,
    TransientError,
)
from airflow_provider_metaconv.schema import TABLES

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")

WHAT_THE_TASK_DOES: dict[type[GraphError], str] = {
    RateLimitError: "waits up to 30 s itself; longer: frees the worker and comes back when Meta says, no retry spent",
    TransientError: "tries again, 5 times with back-off; then an ordinary retry",
    TooMuchDataError: "asks for half as much, and again",
    LimitTooHighError: "asks for as many rows as Meta allows",
    CursorError: "starts the list again",
    ItemUnavailableError: "goes on; the ledger names the conversation",
    TokenError: "fails at once; the message says what a person must do",
    PermissionDeniedError: "fails at once; the message names the permission",
    BlockedError: "fails at once; no further call is sent",
    InvalidRequestError: "fails at once; the message says what to change",
    FieldRefusedError: "leaves the field out; a warning and the manifest name it",
}


def error_table() -> list[str]:
    """The error table as the README shows it, from the codes that the client knows."""
    lines = ["| error | codes | action | scope | what the task does |", "|---|---|---|---|---|"]
    for error, does in WHAT_THE_TASK_DOES.items():
        rows = [(key, rule) for key, rules in ERROR_RULES.items() for rule in rules if rule.error is error]
        codes = [
            str(code) + ("" if subcode is None else f"/{subcode}") + (f' "{rule.text}"' if rule.text else "")
            for (code, subcode), rule in rows
        ]
        codes += [f"{own[0]}-{own[-1]}" for own, key in CODE_RANGES if any(key == known for known, _ in rows)]
        actions, scopes = (
            " or ".join(dict.fromkeys(str(getattr(rule, name)) for _, rule in rows)) for name in ("action", "scope")
        )
        lines.append(f"| `{error.__name__}` | {', '.join(codes)} | {actions} | {scopes} | {does} |")
    return lines


def test_the_error_table_is_the_codes() -> None:
    assert [line for line in error_table() if line not in README] == []


def test_every_class_of_error_is_in_the_table() -> None:
    assert {rule.error for rules in ERROR_RULES.values() for rule in rules} == set(WHAT_THE_TASK_DOES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_columns_are_the_tables(table: object) -> None:
    names = ", ".join(f"`{column.name}`" for column in table.columns)  # type: ignore[attr-defined]
    assert names in README


def test_the_python_blocks_are_python_and_the_json_blocks_json() -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
    assert {"python", "json", "bash", "text"} >= {language for language, _ in blocks}
    for language, code in blocks:
        if language == "python":
            ast.parse(code)
        if language == "json":
            json.loads(code)


def test_the_settings_of_the_readme_are_the_dags() -> None:
    blocks = [json.loads(code) for code in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]
    assert len(blocks) >= 2
    assert [] == [key for block in blocks for key in block if key not in SETTINGS]


def test_the_dag_of_the_readme_has_twenty_lines_and_is_one() -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.splitlines()) <= 20
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    dag = names["conversations"]()  # type: ignore[operator]
    assert {"extract", "load"} == set(dag.task_ids)


def test_every_promise_names_a_test_that_exists() -> None:
    links = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", README)
    assert len(links) > 15
    assert [] == [(name, path) for name, path in links if f"def {name}(" not in (REPOSITORY / path).read_text()]


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert [] == [link for link in links if not (REPOSITORY / link).exists()]


def test_the_contributing_guide_justifies_every_dependency() -> None:
    guide = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    names = re.findall(r'^\s+"([a-z-]+)[><=\[]', project, re.MULTILINE)
    assert len(names) > 10
    assert [] == [name for name in names if f"`{name}`" not in guide]
