"""MkDocs hooks: pages from files outside docs/, tables from the code, and links to files outside docs/."""

from __future__ import annotations

import posixpath
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))  # MkDocs loads this file by its path

from tools.reference_pages import with_generated  # noqa: E402

URL = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]

OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files outside docs/ that are pages of the site."""

_LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#]*)(?P<heading>#[^)\s]*)?(?=\))")
_BADGE = re.compile(r"^(?:\[!\[|!\[)[^\n]*(?:shields\.io|badge\.svg)[^\n]*\n", re.MULTILINE)
_PROJECT_FILE = re.compile(rf"{re.escape(URL)}/(?:blob|raw)/main/")


def on_config(config: Any) -> Any:
    """Puts each decision below the page that lists the decisions."""
    pages = [f"adr/{page.name}" for page in sorted((REPOSITORY / "docs" / "adr").glob("[0-9]*.md"))]
    for section in config.nav:
        for entries in section.values():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and "Decisions" in entry:
                    entry["Decisions"] = ["adr/index.md", *pages]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from outside docs/."""
    for name, page in OUTSIDE.items():
        text = _BADGE.sub("", (REPOSITORY / name).read_text("utf-8"))
        files.append(File.generated(config, page, content=_PROJECT_FILE.sub("", text)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Inserts the generated tables, and points links to other files of the repository to the project's URL."""
    source = {target: name for name, target in OUTSIDE.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    text = with_generated(markdown)
    return _LINK.sub(lambda match: site_link(source, page.file.src_uri, match["path"], match["heading"] or ""), text)


def site_link(source: str, page: str, path: str, heading: str) -> str:
    """The target of a link in the file ``source``, which is the page ``page`` of the site."""
    if not path or re.match(r"[a-z]+:", path):
        return path + heading
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if target in OUTSIDE:
        target = f"docs/{OUTSIDE[target]}"
    if not target.startswith("docs/"):
        return f"{URL}/blob/main/{target}{heading}"
    return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(page)) + heading
