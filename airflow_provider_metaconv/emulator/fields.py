"""Parser of the Graph field list: ``id,messages.limit(5).after(c){id,from{name}}``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from .errors import GraphError, error_body

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|[{},.])\s*")
_ARGUMENT = re.compile(r"\(\s*([^()]*?)\s*\)")


@dataclass(frozen=True)
class Field:
    """One requested field: its name, its arguments, its own sub-fields and its sub-fields as written."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    children: tuple[Field, ...] = ()
    children_text: str = field(default="", compare=False)

    def __hash__(self) -> int:
        # Selections are looked up for every thread; walking down the children each time would cost the most.
        return hash((self.name, self.children_text))


Selection = tuple[Field, ...]


@lru_cache(maxsize=1024)
def parse_fields(text: str) -> Selection:
    """Parse a ``fields=`` value; raises GraphError 2500 for a malformed one, as Graph does."""
    return _Parser(text).whole()


class _Parser:
    """Recursive descent over one field list; the position only ever moves forward."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def whole(self) -> Selection:
        selection = self._list()
        if self._position < len(self._text):
            raise self._error(f"Expected end of string instead of '{self._text[self._position]}'.")
        return selection

    def _list(self) -> Selection:
        items = {}
        while True:
            item = self._item()
            items[item.name] = item  # a repeated field counts once, the last spelling wins
            if not self._accept(","):
                return tuple(items.values())

    def _item(self) -> Field:
        name = self._name()
        arguments = []
        while self._accept("."):
            arguments.append(self._argument())
        start = self._position
        if not self._accept("{"):
            return Field(name, tuple(arguments))
        children = self._list()
        if not self._accept("}"):
            raise self._error("Expected '}'.")
        text = self._text[start : self._position].strip()[1:-1].strip()
        return Field(name, tuple(arguments), children, text)

    def _argument(self) -> tuple[str, str]:
        name = self._name()
        match = _ARGUMENT.match(self._text, self._position)
        if match is None:
            raise self._error("Expected '('.")
        self._position = match.end()
        return name, match[1]

    def _name(self) -> str:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match[1] in "{},.":
            raise self._error("Expected name.")
        self._position = match.end()
        return match[1]

    def _accept(self, symbol: str) -> bool:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match[1] != symbol:
            return False
        self._position = match.end()
        return True

    def _error(self, expected: str) -> GraphError:
        message = f'Syntax error "{expected}" at character {self._position}: {self._text}'
        return GraphError(400, error_body(2500, message))
