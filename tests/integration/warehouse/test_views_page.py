"""The queries of docs/reference/views.md show, on a small example, the results that the page shows."""

import re
from datetime import UTC, datetime

import duckdb
import pytest

from airflow_provider_metaconv.schema import CONVERSATION_GAPS, CONVERSATIONS, EXTRACTION_WINDOWS
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS
from local_servers.pinned_environment import REPOSITORY
from tests.integration.warehouse.warehouse_contract import Files, conversation, gap, message, window

PAGE = (REPOSITORY / "docs" / "reference" / "views.md").read_text("utf-8")
EXAMPLE = re.compile(r"^## (\w+)\n(?:(?!^## ).)*?^```sql\n(.*?)^```\n\n(\|.*?)\n\n", re.DOTALL | re.MULTILINE)
INSTAGRAM = {"platform": "INSTAGRAM"}


def november(day, hour=0, minute=0):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC).isoformat()


def files(write):
    """A Page with two conversations on Messenger, of which one waits, and a truncated one on Instagram."""
    yield write(
        *(
            message(number, conversation_id=name, direction=direction, created_time=november(23, hour, minute), **more)
            for number, (name, direction, hour, minute, more) in enumerate(
                [
                    ("t_1", "inbound", 9, 0, {}),
                    ("t_1", "inbound", 9, 2, {}),
                    ("t_1", "outbound", 9, 30, {}),
                    ("t_1", "inbound", 15, 0, {}),
                    ("t_1", "outbound", 20, 0, {}),
                    ("t_2", "inbound", 18, 0, {}),
                    ("t_3", "inbound", 10, 0, INSTAGRAM),
                    ("t_3", "outbound", 10, 5, INSTAGRAM),
                ]
            )
        )
    )
    yield write(conversation(1), conversation(2), conversation(3, **INSTAGRAM), table=CONVERSATIONS)
    last = {"window_since": november(25), "window_until": november(26)}
    history = INSTAGRAM | {"window_id": "begin_1", "window_until": november(26)}
    yield write(
        window(1, window_until=november(23)),
        window(2, window_since=november(23), window_until=november(25)),
        window(3, status="partial", **last),
        window(**history),
        table=EXTRACTION_WINDOWS,
    )
    yield write(
        gap(3, **history, status="truncated_by_platform", reason_code="instagram_limit"), table=CONVERSATION_GAPS
    )


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    with DuckDBWarehouse(folder / "x.duckdb", views=ViewOptions()) as warehouse:
        warehouse.load(list(files(Files(folder))))
    with duckdb.connect(str(folder / "x.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def shown(value):
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def table(result):
    lines = [
        [column[0] for column in result.description],
        *([shown(each) for each in row] for row in result.fetchall()),
    ]
    header, *rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([header, "|" + "---|" * len(lines[0]), *rows])


def test_every_view_has_an_example():
    assert [name for name, _, _ in EXAMPLE.findall(PAGE)] == [view.name for view in VIEWS]


@pytest.mark.parametrize(("query", "result"), [each[1:] for each in EXAMPLE.findall(PAGE)])
def test_the_page_shows_the_result_of_each_query(example, query, result):
    assert result == table(example.execute(query))
