"""DuckDB: in any tables, every view shows what a model in plain Python shows."""

import contextlib
import re
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    TABLES,
    Sensitivity,
    flat_sensitivities,
)
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.duckdb.sql import view_statement
from airflow_provider_metaconv.warehouse.duckdb.tables import ensure_table
from airflow_provider_metaconv.warehouse.duckdb.views import ensure_views
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS
from tests.integration.warehouse.views_contract import ViewsContract
from tests.integration.warehouse.views_model import BEGIN, VIEW_OPTIONS, Views, ordered, page_worlds
from tests.integration.warehouse.warehouse_contract import Files
from tests.thoroughness import IS_THOROUGH

PAGES = [(str(number), platform) for number in range(3) for platform in ("MESSENGER", "INSTAGRAM")]


@contextlib.contextmanager
def empty_tables(options):
    """A database with all tables, without constraints, and views with these options."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Pacific/Apia'")  # the session's must not matter
        for table in TABLES:
            ensure_table(connection, table, "main")
            for column in table.columns:
                connection.execute(f"ALTER TABLE {table.name} ALTER COLUMN {column.name} DROP NOT NULL")
        ensure_views(connection, "main", options)
        yield connection


@pytest.fixture(scope="module", params=VIEW_OPTIONS, ids=lambda options: options.time_zone)
def tables(request):
    with empty_tables(request.param) as connection:
        yield connection, request.param


@pytest.fixture(scope="module")
def plain_tables():
    with empty_tables(ViewOptions()) as connection:
        yield connection


def fill(connection, world):
    for table, rows in world.items():
        connection.execute(f"DELETE FROM {table.name}")
        if rows:
            places = ", ".join("?" * len(rows[0]))
            columns = ", ".join(rows[0])
            connection.executemany(
                f"INSERT INTO {table.name} ({columns}) VALUES ({places})", [[*r.values()] for r in rows]
            )


def shown(connection, view):
    found = connection.execute(f"SELECT * FROM {view.name}").fetchall()
    names = [name for name, _, _ in view.columns]
    return ordered([dict(zip(names, map(_utc, row), strict=True)) for row in found])


def _utc(value):
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@settings(max_examples=20 if IS_THOROUGH else 4)
@given(st.tuples(*(page_worlds(*page) for page in PAGES)))
def test_every_view_shows_what_the_model_shows(tables, worlds):
    connection, options = tables
    world = {table: [row for each in worlds for row in each[table]] for table in TABLES}
    fill(connection, world)
    model = Views(world, options)
    for view in VIEWS:
        assert shown(connection, view) == model.rows(view.name)


PAGE = {"platform": "MESSENGER", "page_id": "100"}
ONE = PAGE | {"conversation_id": "t_1"}


def hour(number):
    return None if number is None else BEGIN + timedelta(hours=number)


def sent(direction, at):
    return ONE | {"message_id": f"m_{at}", "created_time": hour(at), "direction": direction}


def read(since, until, **values):
    period = {"window_since": hour(since), "window_until": hour(until), "window_id": f"{since}_{until}"}
    return PAGE | period | {"folders": "", "user_id": "", "status": "complete", "messages": 0} | values


def lacking(since, until, **values):
    period = {"window_since": hour(since), "window_until": hour(until)}
    return ONE | period | {"status": "truncated_by_platform", "closed_by_window": None} | values


ANSWERED = (sent("outbound", 1), sent("inbound", 3), sent("outbound", 5))
FIRST_TURN, WAITING = ANSWERED[1:], ANSWERED[:2]
HISTORY = read(None, 8)
INSTANT = 1 / 3_600_000_000


@pytest.mark.parametrize(
    ("messages", "windows", "gaps", "is_known", "is_complete"),
    [
        (ANSWERED, [HISTORY], [], True, True),
        (ANSWERED, [HISTORY], [], False, False),
        (ANSWERED, [], [], True, False),
        (ANSWERED, [read(None, 8, status="partial")], [], True, False),
        (ANSWERED, [read(None, 8, user_id="u_1")], [], True, False),
        (ANSWERED, [read(1, 5)], [], True, False),
        (ANSWERED, [read(1, 5 + INSTANT)], [], True, True),
        (ANSWERED, [read(1 + INSTANT, 8)], [], True, False),
        (ANSWERED, [read(1, 4), read(4, 8)], [], True, True),
        (ANSWERED, [read(1, 4), read(4 + INSTANT, 8)], [], True, False),
        (ANSWERED, [HISTORY, read(None, 4, folders="spam")], [], True, False),
        (ANSWERED, [HISTORY, read(None, 6, folders="inbox,spam")], [], True, True),
        (ANSWERED, [HISTORY], [lacking(1.5, 2)], True, False),
        (ANSWERED, [HISTORY], [lacking(None, 1)], True, True),
        (ANSWERED, [HISTORY], [lacking(5, 6)], True, False),
        (ANSWERED, [HISTORY], [lacking(5 + INSTANT, 6)], True, True),
        (ANSWERED, [HISTORY], [lacking(2, 4, closed_by_window="w")], True, True),
        (ANSWERED, [HISTORY], [lacking(2, 4, status="complete")], True, True),
        ((*ANSWERED, sent(None, 2)), [HISTORY], [], True, False),
        ((*ANSWERED, sent(None, 0)), [HISTORY], [], True, True),
        (FIRST_TURN, [HISTORY], [], True, True),
        (FIRST_TURN, [read(0, 8)], [], True, False),
        (FIRST_TURN, [read(None, 2, messages=1), read(2, 8)], [], True, False),
        (FIRST_TURN, [read(None, 2), read(2, 8)], [], True, True),
        (WAITING, [HISTORY], [], True, True),
        (WAITING, [read(None, 4), read(6, 8)], [], True, False),
        (WAITING, [read(None, 3)], [], True, False),
        (WAITING, [HISTORY], [lacking(6, 7)], True, False),
    ],
)
def test_a_reply_time_is_complete_only_if_nothing_that_changes_it_can_be_missing(
    plain_tables, messages, windows, gaps, is_known, is_complete
):
    known = [ONE] if is_known else []
    world = {MESSAGES: messages, CONVERSATIONS: known, CONVERSATION_GAPS: gaps, EXTRACTION_WINDOWS: windows}
    fill(plain_tables, world)
    assert plain_tables.execute("SELECT is_complete FROM reply_times").fetchall() == [(is_complete,)]


@pytest.mark.parametrize(("gap_until", "is_complete"), [(20, False), (None, True)])
def test_a_day_is_incomplete_if_a_conversation_can_have_started_before(plain_tables, gap_until, is_complete):
    """The gap is over before the day on which the first known message was sent."""
    gaps = [lacking(None, gap_until)] if gap_until else []
    known = {MESSAGES: [sent("inbound", 30)], CONVERSATIONS: [ONE], EXTRACTION_WINDOWS: [read(None, 48)]}
    fill(plain_tables, known | {CONVERSATION_GAPS: gaps})
    day = f"day = DATE '{hour(30):%Y-%m-%d}'"
    assert plain_tables.execute(f"SELECT is_complete FROM coverage WHERE {day}").fetchall() == [(True,)]
    volume = f"SELECT conversations_started, is_complete FROM daily_volume WHERE {day} AND direction = 'inbound'"
    assert plain_tables.execute(volume).fetchall() == [(1, is_complete)]


class TestDuckDBViews(ViewsContract):
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "x.duckdb"

    @pytest.fixture
    def files(self, tmp_path):
        return Files(tmp_path)

    @pytest.fixture
    def open_warehouse(self, path):
        return lambda **options: DuckDBWarehouse(path, **options)

    @pytest.fixture
    def view_rows(self, path):
        def rows(name):
            with duckdb.connect(str(path)) as connection:
                found = connection.execute(f"SELECT * FROM {name}")
                names = [column[0] for column in found.description]
                return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        return rows

    @pytest.fixture
    def definitions_sent(self, path):
        """How many views have been created since the last call: each has a new number then."""
        before: set[tuple[int, str]] = set()

        def sent():
            with duckdb.connect(str(path)) as connection:
                found = connection.execute("SELECT view_oid, comment FROM duckdb_views() WHERE NOT internal").fetchall()
            fresh = set(found) - before
            before.update(found)
            return len(fresh)

        return sent

    @pytest.fixture
    def make_object(self, path):
        def make(kind, name):
            with duckdb.connect(str(path)) as connection:
                connection.execute(f"CREATE {kind} {name} AS SELECT 1 AS one")

        return make

    @pytest.fixture
    def rows_of_messages(self, path):
        def rows():
            with duckdb.connect(str(path)) as connection:
                tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
                return connection.execute("FROM messages").fetchall() if ("messages",) in tables else []

        return rows

    def test_a_load_creates_no_views_unless_asked(self, path, open_warehouse):
        with open_warehouse() as warehouse:
            warehouse.load([])
        with duckdb.connect(str(path)) as connection:
            assert connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]

    def test_views_of_an_earlier_releases_tables_are_created_once_those_are_extended(self, path, load, view_rows):
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE TABLE messages (platform VARCHAR, page_id VARCHAR, message_id VARCHAR)")
        load()
        assert len(view_rows("reply_times")) == 1

    def test_views_survive_an_erasure(self, load, view_rows, open_warehouse):
        """It replaces the file by a copy."""
        load()
        before = {view.name: view_rows(view.name) for view in VIEWS}
        with open_warehouse() as warehouse:
            warehouse.erase(["nobody"], [], Scope.CONVERSATION)
        assert {view.name: view_rows(view.name) for view in VIEWS} == before

    def test_views_show_neither_text_nor_people(self):
        revealing = {Sensitivity.NAME, Sensitivity.CONTENT, Sensitivity.LINK, Sensitivity.PERSON_ID}
        columns = {
            column.name
            for table in TABLES
            for column in table.columns
            if revealing & set(flat_sensitivities(column.sensitivity))
        }
        used = {column for view in VIEWS for column, _, _ in view.columns}
        assert columns & used == set()
        for view in VIEWS:
            words = set(re.findall(r"\w+", view_statement(view, "main", ViewOptions())))
            assert (columns - {"user_id"}) & words == set()
