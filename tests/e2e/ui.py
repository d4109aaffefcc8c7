"""Airflow's UI in a headless Chromium, used as a person does: by labels and roles, and on this machine alone."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:  # Only `make test-ui` installs it.
    from playwright.sync_api import Locator, Page, Route

CHROMIUM = Path("/usr/bin/chromium")  # Debian's package: Playwright's own browser is never downloaded
CHROMIUM_FLAGS = (
    "--no-sandbox",  # which does not work for root, as in most containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
WINDOW = {"width": 1280, "height": 800}
SECONDS_FOR_A_STEP = 20
SECONDS_FOR_AN_UNFOLDING = 0.5


@dataclass(frozen=True)
class TaskRow:
    """A task instance as the UI's table shows it; the label is empty without a mapping."""

    task_id: str
    label: str
    state: str


class AirflowUi:
    """One window on an Airflow; raises Playwright's ``Error`` for a step that is not done in time."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url

    def open(self, path: str) -> None:
        self._page.goto(f"{self._url}/{path}")

    def source(self) -> str:
        """The page as the browser holds it now, with what scripts put into it."""
        source: str = self._page.content()
        return source

    def screenshot(self, path: Path, *, height: int | None = None) -> None:
        clip = {"x": 0, "y": 0, "width": WINDOW["width"], "height": height} if height else None
        self._page.screenshot(path=path, clip=clip, animations="disabled")

    def begin_connection(self, connection_id: str, connection_type: str) -> None:
        """Opens the form of a new connection of the type with this name."""
        self.open("connections")
        self._page.get_by_role("button", name="Add Connection").click()
        self._form.get_by_role("textbox", name="Connection ID").fill(connection_id)
        self._form.get_by_role("combobox", name="Connection Type").fill(connection_type)
        self._page.get_by_role("option", name=connection_type, exact=True).click()

    def fill_section(self, section: str, values: Mapping[str, str]) -> dict[str, str | None]:
        """Fills a section of the form, by the fields' labels, and tells the type of each field."""
        self._unfold(section)
        for label, value in values.items():
            self._field(label).fill(value)
        return {label: self._field(label).get_attribute("type") for label in values}

    def pictures_of_form(self) -> list[bytes]:
        """A connection's form as one picture, or as two where Airflow (before 3.4) unfolds one section at a time."""
        self._page.set_viewport_size(WINDOW | {"height": 2 * WINDOW["height"]})
        self._form.get_by_role("heading").first.click()  # no frame around the field that was filled last
        if self._unfold("Standard Fields"):
            pictures = [self._clipped(None, "Extra Fields")]
            self._unfold("Extra Fields")
            pictures.append(self._clipped("Extra Fields", "Extra Fields JSON"))
        else:
            pictures = [self._form.screenshot(animations="disabled")]
        self._page.set_viewport_size(WINDOW)
        return pictures

    def save_connection(self, connection_id: str) -> None:
        self._form.get_by_role("button", name="Save").click()
        self._form.wait_for(state="hidden")
        self._row(connection_id).wait_for()

    def test_connection(self, connection_id: str) -> str:
        """Presses the connection's test button: what Airflow then tells, for two seconds."""
        told = self._page.get_by_role("status").filter(has_text="Test Connection")
        self._row(connection_id).get_by_role("button", name="Test Connection").click()
        return str(told.inner_text())

    def trigger(self, dag_id: str, params: Mapping[str, str]) -> str:
        """Runs the DAG with these params, from its form: the run's path."""
        self.open(f"dags/{dag_id}")
        self._page.get_by_role("button", name="Trigger Dag").click()
        for label, value in params.items():
            self._field(label).fill(value)
        self._form.get_by_role("button", name="Trigger", exact=True).click()
        self._page.wait_for_url(f"**/dags/{dag_id}/runs/*")
        url: str = self._page.url
        return urlsplit(url).path.strip("/")

    def wait_for_task(self, task_id: str, state: str, seconds: float) -> None:
        """Returns when the table of the run that is open shows the task in that state, without a reload."""
        task = self._row(task_id).filter(has_text=state)
        task.wait_for(timeout=seconds * 1000)

    def state_of_run(self, dag_id: str, run: str) -> str:
        """The state of a run in the DAG's list of runs, once it has ended."""
        self.open(f"dags/{dag_id}/runs")
        row = self._page.get_by_role("row").filter(has=self._page.locator(f'a[href$="{run}"]'))
        ended = row.get_by_role("cell").filter(has_text="Success").or_(row.get_by_role("cell").filter(has_text="Fail"))
        return str(ended.first.inner_text()).strip()

    def tasks(self) -> list[TaskRow]:
        """The table of task instances of the run that is open."""
        return [TaskRow(row["Task ID"], row["Map Index"], row["State"]) for row in self._table()]

    def show_mapped(self, run: str, task_id: str, first: str) -> None:
        """Opens the table of a mapped task's instances beside the grid, ordered by label from this one on."""
        self.open(f"{run}/tasks/{task_id}/mapped")
        self._page.get_by_role("columnheader").get_by_role("button").filter(has_text="Map Index").click()
        self._page.get_by_role("row").nth(1).filter(has_text=first).wait_for()

    def mapped_labels(self) -> dict[str, str]:
        """The labels of the mapped task that is open, and their states."""
        return {row["Map Index"]: row["State"] for row in self._table()}

    def save_stacked(self, pictures: list[bytes], path: Path) -> None:
        """One picture of several, one above the other; leaves Airflow's pages."""
        style = "display: block; margin-bottom: 12px"
        images = [
            f'<img style="{style}" src="data:image/png;base64,{base64.b64encode(each).decode()}">' for each in pictures
        ]
        self._page.set_content(f'<main style="display: inline-block">{"".join(images)}</main>')
        self._page.get_by_role("main").screenshot(path=path)

    def _table(self) -> list[dict[str, str]]:
        """The rows of the table on this page, by the names of its columns, which differ between Airflow's versions."""
        names = [name.strip() for name in self._page.get_by_role("columnheader").all_inner_texts()]
        rows = self._page.get_by_role("row").filter(has=self._page.get_by_role("cell")).all()
        cells = [row.get_by_role("cell").all_inner_texts() for row in rows]
        return [dict(zip(names, (text.strip() for text in each), strict=True)) for each in cells]

    @property
    def _form(self) -> Locator:
        return self._page.get_by_role("dialog")

    def _field(self, label: str) -> Locator:
        # By group: Airflow's extra fields and params stand beside their label without being tied to it.
        group = self._form.get_by_role("group").filter(has=self._page.get_by_text(label, exact=True))
        return group.get_by_role("textbox").or_(group.get_by_role("spinbutton"))

    def _row(self, text: str) -> Locator:
        return self._page.get_by_role("row").filter(has=self._page.get_by_text(text, exact=True))

    def _section(self, name: str) -> Locator:
        return self._form.get_by_role("button", name=name, exact=True)

    def _unfold(self, section: str) -> bool:
        """Whether there is something to unfold: from 3.4 on the form shows all that it has."""
        self._form.get_by_text("Standard Fields", exact=True).wait_for()
        button = self._section(section)
        if button.count() == 0:
            return False
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        self._page.wait_for_timeout(SECONDS_FOR_AN_UNFOLDING * 1000)
        return True

    def _clipped(self, first: str | None, last: str) -> bytes:
        """The form from the line of one section, or from its upper edge, down to that of another."""
        edges = _box(self._form)
        top = _box(self._section(first))["y"] if first else edges["y"]
        clip = {**edges, "y": top, "height": _box(self._section(last))["y"] - top}
        picture: bytes = self._page.screenshot(clip=clip, animations="disabled")
        return picture


def _box(of: Locator) -> dict[str, Any]:
    box = of.bounding_box()
    assert box is not None
    return dict(box)


@contextmanager
def opened_ui(url: str, home: Path, told: Callable[[], str]) -> Iterator[tuple[AirflowUi, list[str]]]:
    """A window on the Airflow at this URL, and what it asked of other hosts, which it does not get.

    What fails inside ends in an ``AssertionError`` with a picture's path and what the Airflow has to tell.
    """
    assert CHROMIUM.exists(), f"{CHROMIUM} is missing: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    asked: list[str] = []

    def only_here(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        # Playwright gives it an empty profile; whatever else it writes goes into this home.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS), env={"HOME": str(home), "LANG": "C.UTF-8"}
        )
        context = browser.new_context(viewport=WINDOW, locale="en-US", timezone_id="UTC", color_scheme="light")
        context.set_default_timeout(SECONDS_FOR_A_STEP * 1000)
        context.route(lambda address: address.startswith("http"), only_here)
        page = context.new_page()
        try:
            # In Airflow 3.1 the first page, whichever it is, logs in and leads home.
            page.goto(url)
            page.get_by_role("link", name="Dags", exact=True).first.wait_for()
            yield AirflowUi(page, url), asked
        except Exception as error:
            picture = home / "failure.png"
            page.screenshot(path=picture)
            raise AssertionError(f"{error}\nSee {picture}\n{told()}") from error
        finally:
            browser.close()
