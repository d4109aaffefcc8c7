"""The options of the analytics views: time zone, business hours, and the pause that ends a session. Validated, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
UTC = "UTC"

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)")
_LONGEST_GAP_MINUTES = 366 * 24 * 60


class ViewOptionsError(ValueError):
    """An option of the views is invalid. The message is one line that says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """How the views count; see ``docs/reference/views.md``. Raises ``ViewOptionsError`` for invalid values.

    ``time_zone`` is an IANA name. Its days are those of ``coverage`` and ``daily_volume``, and its clock is that of the
    business hours. ``business_days`` are ``mon`` to ``sun``; ``business_from`` and ``business_to`` are ``HH:MM``, up to
    ``24:00``. All three are given or none. A pause longer than ``session_gap_minutes`` ends a session.
    """

    time_zone: str = UTC
    business_days: tuple[str, ...] = ()
    business_from: str | None = None
    business_to: str | None = None
    session_gap_minutes: int = 24 * 60

    def __post_init__(self) -> None:
        _check_time_zone(self.time_zone)
        _check_gap(self.session_gap_minutes)
        if not isinstance(self.business_days, list | tuple) or not all(day in DAYS for day in self.business_days):
            raise ViewOptionsError(f"business_days must be a list of {', '.join(DAYS)}")
        object.__setattr__(self, "business_days", tuple(day for day in DAYS if day in self.business_days))
        given = {bool(self.business_days), self.business_from is not None, self.business_to is not None}
        if len(given) > 1:
            raise ViewOptionsError("business_days, business_from and business_to must be given together")
        if self.has_business_hours and self.opens >= self.closes:
            raise ViewOptionsError("business_to must be later than business_from")

    @classmethod
    def parse(cls, setting: ViewOptions | Mapping[str, Any] | None) -> ViewOptions:
        """Return the options of a setting: a mapping with some of the fields; None means the defaults."""
        if isinstance(setting, ViewOptions):
            return setting
        known = [field.name for field in fields(cls)]
        if setting is not None and not isinstance(setting, Mapping):
            raise ViewOptionsError(f"view_options must be an object with some of {', '.join(known)}")
        given = dict(setting or {})
        if not set(given) <= set(known):
            raise ViewOptionsError(f"view_options has an unknown key: the keys are {', '.join(known)}")
        return cls(**given)

    def as_dict(self) -> dict[str, Any]:
        """Return the options in JSON types, as ``parse`` takes them."""
        return asdict(self) | {"business_days": list(self.business_days)}

    @property
    def has_business_hours(self) -> bool:
        """Whether business hours are given."""
        return bool(self.business_days)

    @property
    def business_weekdays(self) -> tuple[int, ...]:
        """The business days as numbers; Monday is 0."""
        return tuple(DAYS.index(day) for day in self.business_days)

    @property
    def opens(self) -> timedelta:
        """When a business day begins, after midnight."""
        return _clock("business_from", self.business_from)

    @property
    def closes(self) -> timedelta:
        """When a business day ends, after midnight."""
        return _clock("business_to", self.business_to)

    @property
    def session_gap(self) -> timedelta:
        """The longest pause within a session."""
        return timedelta(minutes=self.session_gap_minutes)


def _check_time_zone(name: object) -> None:
    if name != UTC and (not isinstance(name, str) or name not in available_timezones()):
        raise ViewOptionsError("time_zone must be an IANA name, such as Europe/Berlin")


def _check_gap(minutes: object) -> None:
    is_boolean = isinstance(minutes, bool)
    if is_boolean or not isinstance(minutes, int) or not 1 <= minutes <= _LONGEST_GAP_MINUTES:
        raise ViewOptionsError(f"session_gap_minutes must be a whole number from 1 to {_LONGEST_GAP_MINUTES:,}")


def _clock(name: str, text: object) -> timedelta:
    match = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ViewOptionsError(f"{name} must be a time such as 09:00")
    hours, minutes = filter(None, match.groups())
    return timedelta(hours=int(hours), minutes=int(minutes))
