"""Checks a built site: every link resolves, and nothing is fetched from another host."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
"""The attributes whose URLs a browser fetches by itself."""

NOT_FETCHED = {"canonical", "next", "prev", "alternate", "edit"}
"""Relations of ``<link>`` that a browser does not fetch."""


class Html(HTMLParser):
    """The links, the fetched URLs and the anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Records one element."""
        values = dict(attributes)
        self.anchors |= {value for name in ("id", "name") if (value := values.get(name))}
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        address = values.get(FETCHED.get(tag, ""))
        if address and not NOT_FETCHED & set((values.get("rel") or "").split()):
            self.fetched.append(address)


def findings(site: Path) -> Iterator[str]:
    """One line for each broken link, and for each URL on another host that a browser would fetch."""
    pages = {path: Html(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    for page, html in pages.items():
        name = page.relative_to(site)
        for address in html.fetched:
            if urlsplit(address).netloc:
                yield f"{name}: fetches {address}"
        if page.name == "404.html":  # its links are relative to the server's root
            continue
        for link in [*html.links, *html.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{name}: {link} is broken"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {link} names a missing heading"


def main() -> int:
    """Checks the site in the given folder. Returns 1 if anything was found."""
    site = Path(sys.argv[1]).resolve()
    found = list(findings(site))
    print(
        "\n".join(found) if found else f"Every link in {site.name} resolves, and nothing is fetched from another host."
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
