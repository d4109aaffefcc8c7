"""The coverage page's files: a fixed set, with a strict policy, without a web framework."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_metaconv.observability.coverage_page import CoveragePage
from airflow_provider_metaconv.observability.plugin import page_url, views_of

PAGE = CoveragePage()


def respond(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body of a response."""
    lines = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(PAGE({"type": "http", "method": method, "path": path, "headers": lines}, receive, send))
    start, body = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


@pytest.mark.parametrize("base", ["", "/airflow", "/a/b"])
def test_the_document_is_served_below_any_base_path(base: str) -> None:
    status, headers, body = respond(f"{base}/meta-conversations/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")


def test_every_file_that_the_page_names_is_served() -> None:
    document = PAGE.files["index.html"].content.decode()
    named = set(re.findall(r'(?:href|src)="([^"]+)"', document))
    for name, file in PAGE.files.items():
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([^"]+)"', file.content.decode()))
    assert named | {"", "index.html"} == set(PAGE.files)
    assert {respond(f"/meta-conversations/{name}")[0] for name in named} == {200}


@pytest.mark.parametrize(
    "path",
    [
        "/meta-conversations/other.js",
        "/meta-conversations/../plugin.py",
        "/meta-conversations/%2e%2e/plugin.py",
        "/meta-conversations/static/index.html",
        "/index.html",
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    assert respond(path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_page_can_only_be_read(method: str) -> None:
    status, headers, _ = respond("/meta-conversations/", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_head_sends_headers_only() -> None:
    status, headers, body = respond("/meta-conversations/main.js", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-length"] == str(len(PAGE.files["main.js"].content))


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    tag = respond("/meta-conversations/main.js")[1]["etag"]
    status, _, body = respond("/meta-conversations/main.js", headers={"if-none-match": tag})
    assert (status, body) == (304, b"")


@pytest.mark.parametrize("path", ["/meta-conversations/", "/meta-conversations/main.js", "/meta-conversations/none"])
def test_every_response_has_the_security_headers(path: str) -> None:
    headers = respond(path)[1]
    policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
    }
    assert headers["x-content-type-options"] == "nosniff"


def test_the_files_name_no_other_host() -> None:
    texts = {name: file.content.decode() for name, file in PAGE.files.items()}
    hosts = {host for text in texts.values() for host in re.findall(r"https?://[^/\"'\s]+", text)}
    assert hosts == {"http://www.w3.org"}  # the namespace of SVG
    assert [name for name, text in texts.items() if "innerHTML" in text or "eval(" in text] == []


def test_the_page_is_in_the_navigation_and_on_every_dag() -> None:
    views = views_of(page_url("https://example.com/airflow"))
    assert [(view["destination"], view["href"]) for view in views] == [
        ("nav", "/airflow/meta-conversations/"),
        ("dag", "/airflow/meta-conversations/?dag_id={DAG_ID}"),
    ]
    assert len({view["url_route"] for view in views}) == 2


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("/", "/meta-conversations/"),
        ("http://127.0.0.1:8080", "/meta-conversations/"),
        ("/x/", "/x/meta-conversations/"),
    ],
)
def test_the_page_follows_the_base_url(base_url: str, path: str) -> None:
    assert page_url(base_url) == path


def test_the_page_needs_no_web_framework() -> None:
    code = "import sys, airflow_provider_metaconv.observability.coverage_page; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {"fastapi", "starlette"} & set(printed.split()) == set()
