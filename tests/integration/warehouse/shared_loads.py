"""Cases that share their loads: a load of BigQuery takes seconds, however many rows it has."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import pytest

from airflow_provider_metaconv.schema import MESSAGES, TABLES, Table


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
        self._after, self._sources = [], []
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
            warehouse.load(sources)
            self._sources += sources
            self._after.append({table.name: read_rows(table.name) for table in TABLES})

    @cached_property
    def written_again(self):
        """The number of rows of each table that one load of all files writes in the end."""
        again = self._warehouse.load(self._sources).tables
        return {name: each.inserted + each.updated for name, each in again.items()}

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
