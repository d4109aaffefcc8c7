"""The parts of the documentation that are generated from the code: tables of columns, errors and decisions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from airflow_provider_metaconv.graph.error_rules import CODE_RANGES, ERROR_RULES, ErrorRule
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
from airflow_provider_metaconv.privacy.policy import BUILT_IN, Treatment, allowed_treatments
from airflow_provider_metaconv.schema import PLATFORMS, TABLES, Column, ColumnType, Table
from airflow_provider_metaconv.warehouse.views import VIEWS, View

DECISIONS = Path(__file__).parents[1] / "docs" / "adr"

WHAT_THE_TASK_DOES: dict[type[GraphError], str] = {
    RateLimitError: "waits up to 30 s; if longer, frees the worker and resumes when Meta says, without using a retry",
    TransientError: "repeats the call 5 times with back-off; then uses an ordinary retry",
    TooMuchDataError: "asks for half as much, repeatedly",
    LimitTooHighError: "asks for as many rows as Meta allows",
    CursorError: "starts the list again",
    ItemUnavailableError: "continues; the ledger names the conversation",
    TokenError: "fails at once; the message says what to do",
    PermissionDeniedError: "fails at once; the message names the permission",
    BlockedError: "fails at once; no further call is sent",
    InvalidRequestError: "fails at once; the message says what to change",
    FieldRefusedError: "leaves the field out; a warning and the manifest name it",
}

_TYPES = {
    ColumnType.TEXT: ("string", "string", "VARCHAR", "STRING"),
    ColumnType.INTEGER: ("number", "int64", "BIGINT", "INTEGER"),
    ColumnType.BOOLEAN: ("true or false", "bool", "BOOLEAN", "BOOLEAN"),
    ColumnType.TIMESTAMP: ("ISO 8601 string", "timestamp (UTC)", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
    ColumnType.JSON: ("JSON value", "string with JSON", "JSON", "JSON"),
}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {' | '.join(row)} |" for row in rows)]


def code_name(code: int, subcode: int | None, text: str = "") -> str:
    """A code as users write it: ``190/463``, or ``100 "cursor"`` if Meta's text decides."""
    return str(code) + ("" if subcode is None else f"/{subcode}") + (f' "{text}"' if text else "")


def error_table() -> list[str]:
    """One row per error class: its codes, and what the task does."""
    rows = []
    for error, does in WHAT_THE_TASK_DOES.items():
        known = [(key, rule) for key, rules in ERROR_RULES.items() for rule in rules if rule.error is error]
        codes = [code_name(*key, rule.text) for key, rule in known]
        codes += [f"{own[0]}-{own[-1]}" for own, key in CODE_RANGES if any(key == other for other, _ in known)]
        actions = " or ".join(dict.fromkeys(str(rule.action) for _, rule in known))
        scopes = " or ".join(dict.fromkeys(str(rule.scope) for _, rule in known))
        rows.append((f"`{error.__name__}`", ", ".join(codes), f"`{actions}`", scopes, does))
    return markdown_table(("error", "codes", "action", "scope", "what the task does"), rows)


def code_table() -> list[str]:
    """One row per meaning: its codes, the action, and what the user should do."""
    codes: dict[tuple[str, str, str], list[str]] = {}
    for (code, subcode), rules in ERROR_RULES.items():
        ranges = [f"{own[0]}-{own[-1]}" for own, key in CODE_RANGES if key == (code, subcode)]
        for rule in rules:
            codes.setdefault(_summary(rule), []).extend([code_name(code, subcode, rule.text), *ranges])
    rows = [(", ".join(names), meaning, f"`{action}`", advice) for (meaning, action, advice), names in codes.items()]
    return markdown_table(("code", "meaning", "action", "what to do"), rows)


def _summary(rule: ErrorRule) -> tuple[str, str, str]:
    is_limit = rule.error is RateLimitError
    meaning = "A call limit is reached." if is_limit else rule.meaning
    return meaning, rule.action.value, "" if is_limit else rule.advice


def type_table() -> list[str]:
    """The name of each column type in each format and warehouse."""
    header = ("type", "NDJSON", "Parquet", "DuckDB", "BigQuery")
    return markdown_table(header, [(f"`{kind.value}`", *words) for kind, words in _TYPES.items()])


def data_dictionary() -> list[str]:
    """Every table with every column."""
    lines: list[str] = []
    for table in TABLES:
        lines += [f"## {table.name}", "", table.description, "", f"Key: {_names(table.key)}.", "", *_columns(table), ""]
    return lines


def _columns(table: Table) -> list[str]:
    rows = [
        (
            f"`{column.name}`",
            f"`{column.type.value}`",
            "no" if column.required else "yes",
            _field(column),
            _text(column),
        )
        for column in table.columns
    ]
    return markdown_table(("column", "type", "nullable", "Graph field", "description"), rows)


def _text(column: Column) -> str:
    return column.description.replace("{", "`{").replace("}", "}`").replace("|", "\\|")


def _field(column: Column) -> str:
    if not column.graph_field:
        return ""
    field = f"`{column.graph_field}`"
    return field if column.platforms == PLATFORMS else f"{field} ({', '.join(column.platforms)})"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def policy_table() -> list[str]:
    """One row per column that a policy can treat: its treatment under each named policy."""
    columns = {column.name: column for table in TABLES for column in table.columns}
    configurable = [name for name, column in columns.items() if len(allowed_treatments(column)) > 1]
    rows = [
        (f"`{name}`", *(f"`{policy.get(name, Treatment.KEEP)}`" for policy in BUILT_IN.values()), allowed)
        for name in configurable
        if (allowed := ", ".join(f"`{each}`" for each in allowed_treatments(columns[name])))
    ]
    return markdown_table(("column", *(f"`{name}`" for name in BUILT_IN), "possible"), rows)


def view_table(view: View) -> list[str]:
    """One row per column of a view."""
    rows = [(f"`{name}`", f"`{kind}`", text) for name, kind, text in view.columns]
    return markdown_table(("column", "type", "description"), rows)


def decision_table() -> list[str]:
    """One row per page of ``docs/adr``, ordered by number."""
    rows = []
    for page in sorted(DECISIONS.glob("[0-9]*.md")):
        number, title = re.findall(r"^# (\d{4}) (.+)$", page.read_text("utf-8"), re.MULTILINE)[0]
        rows.append((number, f"[{title}]({page.name})"))
    return markdown_table(("", "decision"), rows)


GENERATED: dict[str, Callable[[], list[str]]] = {
    "columns": data_dictionary,
    "types": type_table,
    "errors": error_table,
    "codes": code_table,
    "decisions": decision_table,
    "policies": policy_table,
    **{view.name: partial(view_table, view) for view in VIEWS},
}
"""What stands between ``<!-- generated: NAME -->`` and ``<!-- end -->`` in a page, by name."""

MARKER = re.compile(r"^<!-- generated: (\w+) -->$(?:.*?^<!-- end -->$)?", re.MULTILINE | re.DOTALL)


def with_generated(markdown: str) -> str:
    """A page with current tables between its markers; raises ``KeyError`` for an unknown name."""

    def table(match: re.Match[str]) -> str:
        return "\n".join([f"<!-- generated: {match[1]} -->", "", *GENERATED[match[1]](), "", "<!-- end -->"])

    return MARKER.sub(table, markdown)


def main() -> None:
    """Write the tables into the pages: they are also read where nothing generates them."""
    for page in DECISIONS.parent.rglob("*.md"):
        before = page.read_text("utf-8")
        if (after := with_generated(before)) != before:
            page.write_text(after, "utf-8")


if __name__ == "__main__":
    main()
