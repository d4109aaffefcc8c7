"""The coverage page in a headless Chromium: inside Airflow's UI, as a user who is logged in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.e2e.ui import CHROMIUM, CHROMIUM_FLAGS

if TYPE_CHECKING:  # installed only by `make test-ui`
    from playwright.sync_api import Browser, BrowserContext, Frame, Page, Route

SECONDS_FOR_A_STEP = 30
WIDE = (1280, 800)
NARROW = (390, 800)
PAGE = "meta-conversations/"


class CoverageUi:
    """A window with the coverage page. Its problems are errors of scripts, and requests to other hosts."""

    def __init__(self, page: Page, url: str, problems: list[str]) -> None:
        self.page = page
        self.problems = problems
        self._url = url

    def open(self, path: str = PAGE) -> None:
        """Opens the page itself, or a page of Airflow's UI with the coverage page in it."""
        self.page.goto(f"{self._url}/{path}")

    @property
    def frame(self) -> Frame:
        """The document of the coverage page, once it has read everything."""
        # Since Airflow 3.3 the path of the frame is also the end of the window's path.
        place = f"{urlsplit(self._url).path}/{PAGE}"
        found = next((each for each in self.page.frames if urlsplit(each.url).path == place), None)
        if found is None:
            self.page.wait_for_selector("iframe")
            return self.frame
        found.wait_for_selector("main[aria-busy=false]")
        return found

    def choose(self, label: str) -> None:
        """Chooses the time shown."""
        self.frame.get_by_role("radio", name=label).check()

    def rows(self) -> dict[str, dict[str, str]]:
        """The figures of each Page and platform, by label."""
        self.frame.wait_for_selector("tbody[data-filled]")
        script = """rows => Object.fromEntries(rows.map(row => [row.dataset.page, {
            state: row.dataset.state,
            until: row.querySelector("time")?.dateTime ?? "",
            messages: row.querySelector("td.messages .figure").textContent,
            incomplete: row.querySelector("td.incomplete").textContent,
            gaps: String(row.querySelectorAll("rect.gap").length),
        }]))"""
        found: dict[str, dict[str, str]] = self.frame.locator("tr.page").evaluate_all(script)
        return found

    def summary(self) -> dict[str, str]:
        """The figures above the table."""
        tiles = self.frame.locator("#summary > div").all()
        return {tile.locator("dt").inner_text(): tile.locator("dd").inner_text() for tile in tiles}

    def message(self) -> str:
        """What the page says instead of a table."""
        return str(self.frame.locator("#message").inner_text())

    def details(self, label: str) -> str:
        """Opens a row with the keyboard; returns its details."""
        toggle = self.frame.locator(f'tr[data-page="{label}"] button.toggle')
        toggle.focus()
        toggle.press("Enter")
        return str(self.frame.locator(f"#details-{label.replace('/', '-')}").inner_text())

    def follow(self, text: str) -> str:
        """Follows the first link with this text; returns the path to which it leads in Airflow's UI."""
        self.frame.get_by_role("link", name=text).first.click()
        self.page.wait_for_url("**/dags/**/tasks/**")
        return str(urlsplit(self.page.url).path)

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.frame.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def background(self) -> str:
        return str(self.frame.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    def source(self) -> str:
        return str(self.frame.content())

    def screenshot(self, path: Path) -> None:
        self.page.mouse.move(0, 0)  # a row under the pointer would be highlighted
        self.page.screenshot(path=path, animations="disabled")


@contextmanager
def opened_browser(home: Path) -> Iterator[Browser]:
    """A Chromium whose files go into this home."""
    assert CHROMIUM.exists(), f"{CHROMIUM} is missing: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS), env={"HOME": str(home), "LANG": "C.UTF-8"}
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_coverage(
    browser: Browser,
    url: str,
    session: str,
    *,
    size: tuple[int, int] = WIDE,
    theme: str = "light",
    answers: Callable[[str], Any] = lambda path: None,
) -> Iterator[CoverageUi]:
    """A window of a user's session on the Airflow at this URL; ``answers`` may replace responses of its API by path."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale="en-US", timezone_id="UTC", color_scheme="light"
    )
    context.set_default_timeout(SECONDS_FOR_A_STEP * 1000)
    place = urlsplit(url)
    cookie = {"name": "_token", "value": session, "domain": place.hostname or "", "path": place.path, "httpOnly": True}
    context.add_cookies([cookie])
    context.add_init_script(f"localStorage.setItem('theme', {json.dumps(theme)})")
    problems: list[str] = []
    _watch(context, problems, answers)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        yield CoverageUi(page, url, problems)
    finally:
        context.close()


def _watch(context: BrowserContext, problems: list[str], answers: Callable[[str], Any]) -> None:
    def respond(route: Route) -> None:
        place = urlsplit(route.request.url)
        answer = answers(place.path.partition("/api/v2/")[2])
        if place.hostname != "127.0.0.1":
            problems.append(route.request.url)
            route.abort()
        elif answer is not None:
            route.fulfill(json=answer)
        else:
            route.continue_()

    def note(message: Any) -> None:
        if message.type == "error" and ("Content Security Policy" in message.text or PAGE in message.location["url"]):
            problems.append(message.text)

    context.route(lambda address: address.startswith("http"), respond)
    context.on("console", note)


def only(path: str, answer: Mapping[str, Any]) -> Callable[[str], Any]:
    """Replaces the response of one path."""
    return lambda asked: answer if asked == path else None
