"""SQL templates, and the parts of a table that they use. All table and column names come from ``schema``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    Column,
    Table,
)
from airflow_provider_metaconv.warehouse.derived import compared_columns


@dataclass(frozen=True, slots=True)
class TableSql:
    """A table for use in templates: the ``target`` to merge into, the staged ``source`` rows, and the columns.

    ``quoted`` quotes a column name, and ``comparable`` turns a column's expression into one that can be compared. Both
    depend on the warehouse. Every property is a SQL fragment.
    """

    table: Table
    target: str
    source: str
    quoted: Callable[[str], str]
    comparable: Callable[[Column, str], str] = lambda _, expression: expression

    @property
    def columns(self) -> str:
        """All columns, in the order of ``schema``."""
        return self._joined(self.table.column_names)

    @property
    def key(self) -> str:
        """The columns that identify a row."""
        return self._joined(self.table.key)

    @property
    def source_columns(self) -> str:
        """All columns of the source, in the order of ``columns``."""
        return ", ".join(f"source.{self.quoted(name)}" for name in self.table.column_names)

    @property
    def same_key(self) -> str:
        """The condition that target and source have the same key."""
        return " AND ".join(f"target.{self.quoted(name)} = source.{self.quoted(name)}" for name in self.table.key)

    @property
    def source_values(self) -> str:
        """The assignments that copy every column but the key from the source."""
        values = (self.quoted(name) for name in self.table.column_names if name not in self.table.key)
        return ", ".join(f"{name} = source.{name}" for name in values)

    @property
    def compared_values(self) -> str:
        """The assignments that copy the compared columns from the source."""
        values = (self.quoted(column.name) for column in compared_columns(self.table))
        return ", ".join(f"{name} = source.{name}" for name in values)

    @property
    def any_difference(self) -> str:
        """The condition that target and source differ in a compared column."""
        return " OR ".join(
            f"{self.comparable(column, f'target.{self.quoted(column.name)}')}"
            f" IS DISTINCT FROM {self.comparable(column, f'source.{self.quoted(column.name)}')}"
            for column in compared_columns(self.table)
        )

    def _joined(self, names: tuple[str, ...]) -> str:
        return ", ".join(self.quoted(name) for name in names)


def erased_rows(
    scope: Scope, in_conversation: str, is_person: Mapping[str, str], holds: Mapping[str, str]
) -> dict[Table, list[str]]:
    """Return the conditions of the rows that an erasure deletes, by table; a row needs to meet one of them.

    ``in_conversation`` selects the rows of erased conversations; by column, ``is_person`` selects those with one of the
    people there, and ``holds`` those whose JSON names one. Every condition is a SQL fragment of the warehouse.
    """
    deletes_more = scope is Scope.CONVERSATION
    return {
        MESSAGES: [in_conversation, is_person["sender_id"], *([holds["recipients"]] if deletes_more else [])],
        CONVERSATIONS: [in_conversation, *([holds["participants"]] if deletes_more else [])],
        CONVERSATION_GAPS: [in_conversation, is_person["user_id"]],
        EXTRACTION_WINDOWS: [is_person["user_id"]],
    }


def render(package: str, template: str, **names: Any) -> str:
    """Render a template from the ``templates`` folder of ``package``. An undefined name is an error."""
    return _environment(package).get_template(template).render(names)


@cache
def _environment(package: str) -> Environment:
    # SQL is not HTML, so nothing is escaped. Names are quoted where they are built.
    return Environment(  # noqa: S701
        loader=PackageLoader(package),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
