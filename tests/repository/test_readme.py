"""The README and the reference match the code: generated tables are complete, code blocks run."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.dag_settings import SETTINGS
from airflow_provider_metaconv.graph.error_rules import CODE_RANGES, ERROR_RULES
from airflow_provider_metaconv.schema import TABLES, Table
from tools.reference_pages import WHAT_THE_TASK_DOES, with_generated

REPOSITORY = Path(__file__).parents[2]
URL = "https://github.com/airflow-provider-metaconv/airflow-provider-metaconv"
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def page(name: str) -> str:
    """A page of the documentation with its generated tables."""
    return with_generated((REPOSITORY / "docs" / name).read_text("utf-8"))


def test_the_error_table_lists_every_code() -> None:
    shown = page("reference/errors.md")
    for error, does in WHAT_THE_TASK_DOES.items():
        [row] = [line for line in shown.splitlines() if line.startswith(f"| `{error.__name__}` |")]
        assert row.endswith(f"| {does} |")
        for (code, subcode), rules in ERROR_RULES.items():
            name = str(code) + ("" if subcode is None else f"/{subcode}")
            assert [rule for rule in rules if rule.error is error and name not in row] == []
        for own, key in CODE_RANGES:
            is_of_error = any(rule.error is error for rule in ERROR_RULES[key])
            assert not is_of_error or f"{own[0]}-{own[-1]}" in row


def test_the_error_table_has_every_error_class() -> None:
    assert {rule.error for rules in ERROR_RULES.values() for rule in rules} == set(WHAT_THE_TASK_DOES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_documented_columns_match_the_schema(table: Table) -> None:
    section = page("reference/tables.md").partition(f"## {table.name}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(table.column_names)


def test_the_readmes_code_blocks_are_valid() -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
    assert {"python", "json", "bash", "text"} >= {language for language, _ in blocks}
    for language, code in blocks:
        if language == "python":
            ast.parse(code)
        if language == "json":
            json.loads(code)


def test_documented_settings_exist() -> None:
    blocks = [json.loads(code) for code in re.findall(r"```json\n(.*?)```", page("reference/settings.md"), re.DOTALL)]
    assert blocks
    assert [key for block in blocks for key in block if key not in SETTINGS] == []


def test_the_readmes_dag_is_valid_and_at_most_ten_lines() -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert {"extract", "load_into_duckdb", "check"} <= set(names["dag"].task_ids)


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 900


def test_every_guarantee_names_existing_tests() -> None:
    links = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", page("guarantees.md"))
    assert len(links) > 30
    assert [
        (name, path) for name, path in links if f"def {name}(" not in (REPOSITORY / "docs" / path).read_text()
    ] == []


def test_every_linked_file_exists() -> None:
    links = re.findall(rf"{URL}/(?:blob|raw)/main/([^)#]+)", README)
    assert len(links) > 20
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_the_readme_has_only_absolute_links() -> None:
    """PyPI shows it without the repository."""
    assert re.findall(r"\]\((?!http)[^)]*\)", README) == []


def test_the_contributing_guide_justifies_every_dependency() -> None:
    guide = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    names = re.findall(r'^\s+"([a-z-]+)[><=\[]', project, re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in guide] == []
