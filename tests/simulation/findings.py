"""What the oracle reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of a guarantee, found after an attempt."""

    guarantee: str
    text: str
    attempt: int = 0

    def __str__(self) -> str:
        return f"{self.guarantee} after attempt {self.attempt}: {self.text}"
