"""Cases that share their loads: a load of BigQuery takes seconds, however many rows it has."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

import pytest

from airflow_provider_metaconv.schema import MESSAGES, TABLES, Table, table_named
from airflow_provider_metaconv.warehouse import TableResult


@dataclass(frozen=True)
class Rows:
    """The rows of one file of a case."""

    table: Table
    rows: tuple[dict[str, Any], ...]
    file_format: str = "ndjson"

    def files(self, write, page_id):
        rows = [row | {"page_id": page_id} for row in self.rows]
        yield write(*rows, table=self.table, file_format=self.file_format)


class SharedLoads:
    """The tables after each load. The n-th loads of all cases are one; a case's name is the Page of its rows.

    The sources of a load have a method ``files(write, page_id)``. The n-th files of all cases are one, too.
    """

    def __init__(self, cases, warehouse, files, read_rows, ask):
        self._warehouse, self._ask = warehouse, cache(ask)
        self._read = lambda: {
            each.name: [row for row in read_rows(each.name) if row["page_id"] in cases] for each in TABLES
        }
        self._after, self._sources = [], []
        self.results, self.counted = [], []
        tables: dict[str, list[Any]] = {table.name: [] for table in TABLES}
        for number in range(max(map(len, cases.values()))):
            together: defaultdict[Any, list[Any]] = defaultdict(list)
            for case, loads in cases.items():
                sources = [source for load in loads[number : number + 1] for source in load]
                written = (file for source in sources for file in source.files(_rows, case))
                for position, file in enumerate(written):
                    together[position, file.table, file.file_format] += file.rows
            sources = [
                files(*rows, table=table, file_format=file_format)
                for (_, table, file_format), rows in sorted(together.items(), key=lambda item: item[0][0])
            ]
            before, staged = tables, defaultdict[str, list[Any]](list)
            for (_, table, _), rows in together.items():
                staged[table.name] += rows
            self.results.append(warehouse.load(sources).tables)
            self._sources += sources
            self._after.append(tables := self._read())
            self.counted.append({name: _counted(name, staged[name], before[name], tables[name]) for name in tables})

    def changed_by_loading_again(self):
        """The names of the tables that one load of all files changes, or says that it changes."""
        results, tables = self._warehouse.load(self._sources).tables, self._read()
        written = {name for name, each in results.items() if each.inserted or each.updated}
        return written | {name for name, rows in tables.items() if rows != self._after[-1][name]}

    def rows(self, case, table, load=-1):
        """The rows of a case after one of its loads; after the last if none is given."""
        return [row for row in self._after[load][table] if row["page_id"] == case]

    def row(self, case, table, load=-1):
        [row] = self.rows(case, table, load)
        return row

    def ask(self, case, query):
        """The rows of a query in the end."""
        return [row for row in self._ask(query) if row[1] == case or row[0] == f"INSTAGRAM/{case}"]


class SharedContract:
    @pytest.fixture(scope="class")
    @classmethod
    def shared(cls):
        """A warehouse for all tests of the class: itself, ``files``, ``read_rows`` and ``ask``."""
        raise NotImplementedError


def _rows(*rows, table=MESSAGES, file_format="ndjson"):
    return Rows(table, rows, file_format)


def _counted(table_name, staged, before, after):
    """The result of a load, from what was staged and the rows before and after it."""
    key = itemgetter(*table_named(table_name).key)
    old, new = ({key(row): row for row in rows} for rows in (before, after))
    inserted, updated = len(new.keys() - old.keys()), sum(old[each] != new[each] for each in old)
    return TableResult(len(staged), inserted, updated, len(set(map(key, staged))) - inserted - updated)
