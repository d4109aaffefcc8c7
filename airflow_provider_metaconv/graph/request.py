"""How a call to the Graph API is written: its path, and the function that everything reads through."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar, overload
from urllib.parse import quote, unquote

from airflow_provider_metaconv.graph.errors import Action, InvalidRequestError, ItemUnavailableError

REPEATED: Collection[Action] = (Action.RETRY, Action.ASK_LESS)
"""The actions for which a call is repeated before its error is raised, unless the caller says otherwise."""

Result = TypeVar("Result")
Parse = Callable[[dict[str, Any]], Result]
"""Turns the JSON object of a response into what was asked for, or raises ``UnexpectedResponseError``."""


class Get(Protocol):
    """``GraphClient.get``, which everything reads through."""

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
    """The path of these ids and edges, each quoted as one segment; raises ``ItemUnavailableError`` for one that leads
    elsewhere: such an id cannot be asked for, which says nothing of others.
    """
    if not all(segments) or any(_DOTS.search(segment) for segment in segments):
        raise ItemUnavailableError("Its id is empty or holds . or .. between slashes: it cannot be part of an address.")
    return "/".join(quote(segment, safe="", errors="replace") for segment in segments)


def checked_path(path: str) -> str:
    """A path that stays below the API's version, also where a server decodes what is quoted in it.

    Raises ``InvalidRequestError`` for any other.
    """
    if "?" in path or "#" in path or _DOTS.search(unquote(path)):
        raise InvalidRequestError("A path of the Graph API cannot hold . or .. between slashes, nor ? or #.")
    return path


_DOTS = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\]|$)")
