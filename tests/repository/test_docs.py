"""The pages in docs/: their code blocks run, and what they name exists."""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest

from airflow_provider_metaconv.dag import meta_conversations_dag
from airflow_provider_metaconv.emulator import EmulatorServer, World, WorldSettings
from airflow_provider_metaconv.extract.state import Phase
from airflow_provider_metaconv.graph.error_rules import CODE_RANGES, ERROR_RULES
from airflow_provider_metaconv.graph.errors import RateLimitError
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from tests.airflow_commands import help_of
from tools.reference_pages import with_generated

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[Any]:
    every = [(page, *block) for page in PAGES for block in BLOCK.findall(page.read_text("utf-8"))]
    found = [(page, code) for page, kind, code in every if kind == language]
    return [pytest.param(code, id=f"{page.stem}-{number}") for number, (page, code) in enumerate(found)]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The default connection points to an emulator."""
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=20))) as server:
        connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token}
        monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps(connection))
        yield


def test_every_code_block_has_a_tested_language() -> None:
    kinds = {kind for page in PAGES for kind, _ in BLOCK.findall(page.read_text("utf-8"))}
    assert {"bash", "json", "python", "sql", "text"} >= kinds


@pytest.fixture(scope="module")
def empty_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DuckDB file with all tables and views."""
    path = tmp_path_factory.mktemp("docs") / "x.duckdb"
    with DuckDBWarehouse(path, views=ViewOptions()) as warehouse:
        warehouse.load([])
    return path


@pytest.mark.parametrize("code", blocks("sql"))
def test_sql_blocks_run_on_the_tables_and_views(code: str, empty_tables: Path) -> None:
    with duckdb.connect(str(empty_tables), read_only=True) as connection:
        assert connection.execute(code).fetchall() == []


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str, connected: None) -> None:
    tree = ast.parse(code)
    if not code.startswith("# needs "):
        exec(compile(tree, "docs", "exec"), {})


@pytest.mark.parametrize("code", blocks("json"))
def test_json_blocks_are_valid(code: str) -> None:
    json.loads(code)


@pytest.mark.parametrize("code", blocks("bash"))
def test_bash_blocks_are_valid_and_their_commands_exist(code: str) -> None:
    subprocess.run(["bash", "-n"], input=code, text=True, check=True)
    for line in code.splitlines():
        if match := re.match(r"(?:[A-Z_]+=\S+ )*airflow ([a-z]+) ([a-z]+)\b", line):
            assert help_of(*match.groups())


def test_the_documented_schedule_setting_takes_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "scheduling.md").read_text("utf-8")
    [line] = re.findall(r"^export META_CONVERSATIONS_SCHEDULE=.*$", page, re.MULTILINE)
    script = f'{line}; printf %s "$META_CONVERSATIONS_SCHEDULE"'
    exported = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    monkeypatch.setenv("META_CONVERSATIONS_SCHEDULE", exported)
    dag = runpy.run_path(str(REPOSITORY / "dags" / "meta_conversations.py"))["dag"]
    assert dag.timetable.summary == "*/15 * * * *"


def test_the_many_pages_example_defines_25_dags(tmp_path: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    page = (REPOSITORY / "docs" / "how-to" / "many-pages.md").read_text("utf-8")
    [code] = [code for language, code in BLOCK.findall(page) if language == "python"]
    (tmp_path / "dags.py").write_text(code, "utf-8")
    bag = DagBag(tmp_path / "dags.py")
    assert bag.import_errors == {}
    assert sorted(bag.dags) == [f"meta_conversations_{part:02}" for part in range(25)]


def test_the_arguments_of_the_dag_are_documented() -> None:
    page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text("utf-8")
    arguments = [name for name in inspect.signature(meta_conversations_dag).parameters if name != "dag_arguments"]
    assert [name for name in arguments if f"`{name}`" not in page] == []


def test_the_picture_of_the_demo_shows_the_ledger_and_an_erasure() -> None:
    picture = (REPOSITORY / "docs" / "summary.svg").read_text("utf-8")
    assert {"extraction_windows", "conversation_gaps", "Erased"} <= set(re.findall(r"\w+", picture))


def test_every_known_code_is_documented_with_its_advice() -> None:
    page = with_generated((REPOSITORY / "docs" / "reference" / "errors.md").read_text("utf-8"))
    section = page.partition("## By code")[2].partition("\n\n| action")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines()[4:]]
    by_code = {code: rest for codes, *rest in rows for code in codes.strip("| ").split(", ")}
    assert len(by_code) > 20
    for (code, subcode), rules in ERROR_RULES.items():
        for rule in rules:
            name = str(code) + ("" if subcode is None else f"/{subcode}") + (f' "{rule.text}"' if rule.text else "")
            is_limit = rule.error is RateLimitError
            meaning, advice = ("A call limit is reached.", "") if is_limit else (rule.meaning, rule.advice)
            assert by_code[name] == [meaning, f"`{rule.action.value}`", advice]
    for own, _ in CODE_RANGES:
        assert f"{own[0]}-{own[-1]}" in by_code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_resolves(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    for link in links:
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists()
        if heading:
            headings = re.findall(r"^#+ (.+)$", with_generated(target.read_text("utf-8")), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
    for name in re.findall(r"\]\[([\w-]+)\]", text):
        assert f"\n[{name}]: http" in text


def test_the_architecture_page_names_existing_code() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    places = re.findall(r"^\| .+ \| `([\w/]+\.py)` \| `(\w+)` \|$", page, re.MULTILINE)
    package = REPOSITORY / "airflow_provider_metaconv"
    assert len(places) > 30
    assert [
        place for place in places if not re.search(rf"\b{place[1]}\b", (package / place[0]).read_text("utf-8"))
    ] == []


def test_the_documented_phases_match_the_code() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    documented = re.findall(r"^\| `(\w+)` \| [^`]", page.split("## The phases of a list")[1], re.MULTILINE)
    assert documented == [phase.__name__ for phase in get_args(Phase)]


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    pages = [page.relative_to(REPOSITORY).as_posix() for page in PAGES if page.parent.name != "adr"]
    assert [page for page in pages if page not in readme] == []


def test_the_generated_tables_are_current() -> None:
    """After a change of columns, codes, policies or decisions: python -m tools.reference_pages."""
    pages = list((REPOSITORY / "docs").rglob("*.md"))
    stale = [page.name for page in pages if with_generated(text := page.read_text("utf-8")) != text]
    assert stale == []
