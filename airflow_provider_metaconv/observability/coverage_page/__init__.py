"""The coverage page: a document, a style sheet and scripts, served as they are.

Airflow does not authenticate the applications of plugins. Nothing here contains data: the script reads Airflow's REST
API with the viewer's own session, so that Airflow decides what they may see. The application is plain ASGI, so that
importing the plugin loads no web framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from hashlib import sha256
from importlib import resources
from typing import Any, NamedTuple

URL_PREFIX = "/meta-conversations"

DOCUMENT = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
"""Only files of this page are loaded, only Airflow is contacted, and only Airflow may frame it."""

Message = MutableMapping[str, Any]


class File(NamedTuple):
    """A file as it is sent; the tag changes with its content."""

    media_type: str
    content: bytes
    tag: str


class CoveragePage:
    """An ASGI application with a fixed set of files. It reads them with the first request."""

    @cached_property
    def files(self) -> dict[str, File]:
        """The files by name. The document also has the empty name."""
        found = {}
        for path in (resources.files(__name__) / "static").iterdir():
            content = path.read_bytes()
            suffix = path.name[path.name.rindex(".") :]
            found[path.name] = File(MEDIA_TYPES[suffix], content, f'"{sha256(content).hexdigest()[:32]}"')
        return found | {"": found[DOCUMENT]}

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a request; other kinds of connections are ignored."""
        if scope["type"] != "http":
            return
        status, headers, body = self._response(scope)
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _response(self, scope: MutableMapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            return _plain(405, "Only GET is allowed.", allow="GET, HEAD")
        folder, _, name = scope["path"].rpartition("/")
        file = self.files.get(name) if folder.endswith(URL_PREFIX) else None
        if file is None:
            return _plain(404, "There is no such file.")
        headers = SECURITY_HEADERS | {"cache-control": "no-cache", "etag": file.tag}
        if (b"if-none-match", file.tag.encode()) in scope["headers"]:
            return 304, headers, b""
        described = {"content-type": file.media_type, "content-length": str(len(file.content))}
        return 200, headers | described, file.content


def _plain(status: int, line: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    described = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(line))}
    return status, SECURITY_HEADERS | described | headers, line.encode()
