"""How a call to the Graph API is written: its path, and the function that everything reads through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar, overload
from urllib.parse import quote

from airflow_provider_metaconv.graph.errors import Action, InvalidRequestError

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
    """The path of these ids and edges, each quoted as one segment; raises ``InvalidRequestError`` for one that leads
    elsewhere.
    """
    if any(segment in ("", ".", "..") for segment in segments):
        raise InvalidRequestError(f"An id of Meta's cannot be part of an address: {'/'.join(segments)!r}.")
    return "/".join(quote(segment, safe="", errors="replace") for segment in segments)
