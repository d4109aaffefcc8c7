"""Airflow's UI in a headless Chromium, used as a person would: by labels and roles, without other hosts."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:  # installed only by `make test-ui`
    from playwright.sync_api import Locator, Page, Route

CHROMIUM = Path("/usr/bin/chromium")  # Debian's package: Playwright's own browser is never downloaded
CHROMIUM_FLAGS = (
    "--no-sandbox",  # the sandbox does not work for root, as in most containers
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
    """A task instance in the UI's table; the label is empty if it is not mapped."""

    task_id: str
    label: str
    state: str


class AirflowUi:
    """A browser window on an Airflow; raises Playwright's ``Error`` if a step times out."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url

    def open(self, path: str) -> None:
        self._page.goto(f"{self._url}/{path}")

    def source(self) -> str:
        """The current page, including what scripts have added."""
        source: str = self._page.content()
        return source

    def screenshot(self, path: Path, *, height: int | None = None) -> None:
        clip = {"x": 0, "y": 0, "width": WINDOW["width"], "height": height} if height else None
        self._page.screenshot(path=path, clip=clip, animations="disabled")

    def begin_connection(self, connection_id: str, connection_type: str) -> None:
        """Opens the form for a new connection of this type."""
        self.open("connections")
        self._page.get_by_role("button", name="Add Connection").click()
        self._form.get_by_role("textbox", name="Connection ID").fill(connection_id)
        self._form.get_by_role("combobox", name="Connection Type").fill(connection_type)
        self._page.get_by_role("option", name=connection_type, exact=True).click()

    def fill_section(self, section: str, values: Mapping[str, str]) -> dict[str, str | None]:
        """Fills a section of the form by the fields' labels; returns the type of each field."""
        self._unfold(section)
        for label, value in values.items():
            self._field(label).fill(value)
        return {label: self._field(label).get_attribute("type") for label in values}

    def pictures_of_form(self) -> list[bytes]:
        """The connection form as one screenshot, or two if Airflow (before 3.4) unfolds one section at a time."""
        self._page.set_viewport_size(WINDOW | {"height": 2 * WINDOW["height"]})
        self._form.get_by_role("heading").first.click()  # removes the focus frame of the last field
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
        """Presses the connection's test button; returns the message that Airflow shows for two seconds."""
        message = self._page.get_by_role("status").filter(has_text="Test Connection")
        self._row(connection_id).get_by_role("button", name="Test Connection").click()
        return str(message.inner_text())

    def trigger(self, dag_id: str, params: Mapping[str, str]) -> str:
        """Runs the DAG with these params from its form; returns the run's path."""
        self.open(f"dags/{dag_id}")
        self._page.get_by_role("button", name="Trigger Dag").click()
        for label, value in params.items():
            self._field(label).fill(value)
        self._form.get_by_role("button", name="Trigger", exact=True).click()
        self._page.wait_for_url(f"**/dags/{dag_id}/runs/*")
        url: str = self._page.url
        return urlsplit(url).path.strip("/")

    def wait_for_task(self, task_id: str, state: str, seconds: float) -> None:
        """Returns when the table of the open run shows the task in that state, without a reload."""
        task = self._row(task_id).filter(has_text=state)
        task.wait_for(timeout=seconds * 1000)

    def state_of_run(self, dag_id: str, run: str) -> str:
        """Waits for a run to end; returns its state in the DAG's list of runs."""
        self.open(f"dags/{dag_id}/runs")
        row = self._page.get_by_role("row").filter(has=self._page.locator(f'a[href$="{run}"]'))
        ended = row.get_by_role("cell").filter(has_text="Success").or_(row.get_by_role("cell").filter(has_text="Fail"))
        return str(ended.first.inner_text()).strip()

    def tasks(self) -> list[TaskRow]:
        """The task instances in the table of the open run."""
        return [TaskRow(row["Task ID"], row["Map Index"], row["State"]) for row in self._table()]

    def show_mapped(self, run: str, task_id: str, first: str) -> None:
        """Opens the table of a mapped task's instances beside the grid, sorted by label, starting with ``first``."""
        self.open(f"{run}/tasks/{task_id}/mapped")
        self._page.get_by_role("columnheader").get_by_role("button").filter(has_text="Map Index").click()
        self._page.get_by_role("row").nth(1).filter(has_text=first).wait_for()

    def mapped_labels(self) -> dict[str, str]:
        """The labels and states of the open mapped task."""
        return {row["Map Index"]: row["State"] for row in self._table()}

    def save_stacked(self, pictures: list[bytes], path: Path) -> None:
        """Saves screenshots stacked in one image; leaves Airflow's pages."""
        style = "display: block; margin-bottom: 12px"
        images = [
            f'<img style="{style}" src="data:image/png;base64,{base64.b64encode(each).decode()}">' for each in pictures
        ]
        self._page.set_content(f'<main style="display: inline-block">{"".join(images)}</main>')
        self._page.get_by_role("main").screenshot(path=path)

    def _table(self) -> list[dict[str, str]]:
        """The rows of the table on this page by column name; the columns differ between Airflow versions."""
        names = [name.strip() for name in self._page.get_by_role("columnheader").all_inner_texts()]
        rows = self._page.get_by_role("row").filter(has=self._page.get_by_role("cell")).all()
        cells = [row.get_by_role("cell").all_inner_texts() for row in rows]
        return [dict(zip(names, (text.strip() for text in each), strict=True)) for each in cells]

    @property
    def _form(self) -> Locator:
        return self._page.get_by_role("dialog")

    def _field(self, label: str) -> Locator:
        # By group: Airflow's extra fields and params are next to their label but not associated with it.
        group = self._form.get_by_role("group").filter(has=self._page.get_by_text(label, exact=True))
        return group.get_by_role("textbox").or_(group.get_by_role("spinbutton"))

    def _row(self, text: str) -> Locator:
        return self._page.get_by_role("row").filter(has=self._page.get_by_text(text, exact=True))

    def _section(self, name: str) -> Locator:
        return self._form.get_by_role("button", name=name, exact=True)

    def _unfold(self, section: str) -> bool:
        """Unfolds a section; returns whether there was one to unfold: since 3.4 the form shows all sections."""
        self._form.get_by_text("Standard Fields", exact=True).wait_for()
        button = self._section(section)
        if button.count() == 0:
            return False
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        self._page.wait_for_timeout(SECONDS_FOR_AN_UNFOLDING * 1000)
        return True

    def _clipped(self, first: str | None, last: str) -> bytes:
        """A screenshot of the form from one section's header, or from its upper edge, to another's."""
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
def opened_ui(url: str, home: Path, output: Callable[[], str]) -> Iterator[tuple[AirflowUi, list[str]]]:
    """A window on the Airflow at this URL, and its requests to other hosts, which are blocked.

    An error inside becomes an ``AssertionError`` with the path of a screenshot and Airflow's output.
    """
    assert CHROMIUM.exists(), f"{CHROMIUM} is missing: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    blocked: list[str] = []

    def only_here(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            blocked.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        # Playwright uses an empty profile; all other files go into this home.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS), env={"HOME": str(home), "LANG": "C.UTF-8"}
        )
        context = browser.new_context(viewport=WINDOW, locale="en-US", timezone_id="UTC", color_scheme="light")
        context.set_default_timeout(SECONDS_FOR_A_STEP * 1000)
        context.route(lambda address: address.startswith("http"), only_here)
        page = context.new_page()
        try:
            # In Airflow 3.1 the first page logs in and redirects to the home page.
            page.goto(url)
            page.get_by_role("link", name="Dags", exact=True).first.wait_for()
            yield AirflowUi(page, url), blocked
        except Exception as error:
            picture = home / "failure.png"
            page.screenshot(path=picture)
            raise AssertionError(f"{error}\nSee {picture}\n{output()}") from error
        finally:
            browser.close()
