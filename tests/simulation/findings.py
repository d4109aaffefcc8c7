"""What the oracle reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken guarantee, seen after one attempt."""

    guarantee: str
    text: str
    attempt: int = 0

    def __str__(self) -> str:
        return f"{self.guarantee} after attempt {self.attempt}: {self.text}"
