"""The path of a Graph API call, and the type of the function that makes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar, overload
from urllib.parse import quote, unquote

from airflow_provider_metaconv.graph.errors import Action, InvalidRequestError, ItemUnavailableError

REPEATED: Collection[Action] = (Action.RETRY, Action.ASK_LESS)
"""The actions for which a call is retried by default before its error is raised."""

Result = TypeVar("Result")
Parse = Callable[[dict[str, Any]], Result]
"""Converts a response's JSON object, or raises ``UnexpectedResponseError``."""


class Get(Protocol):
    """The type of ``GraphClient.get``, which all reads go through."""

    @overload
    def __call__(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        parse: None = None,
        retried: Collection[Action] = REPEATED,
    ) -> dict[str, Any]: ...

    @overload
    def __call__(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        parse: Parse[Result],
        retried: Collection[Action] = REPEATED,
    ) -> Result: ...


def graph_path(*segments: str) -> str:
    """Return the path of these IDs and edges, each quoted as one segment.

    Raises ``ItemUnavailableError`` for a segment that would lead elsewhere: only that object cannot be requested.
    """
    if not all(segments) or any(_DOTS.search(segment) for segment in segments):
        raise ItemUnavailableError("Its ID is empty or contains . or .. as a path segment: it cannot be part of a URL.")
    return "/".join(quote(segment, safe="", errors="replace") for segment in segments)


def checked_path(path: str) -> str:
    """Return a path that stays below the API version, even if a server decodes its quoted characters.

    Raises ``InvalidRequestError`` for any other path.
    """
    if "?" in path or "#" in path or _DOTS.search(unquote(path)):
        raise InvalidRequestError("A Graph API path must not contain . or .. as a segment, nor ? or #.")
    return path


_DOTS = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\]|$)")
