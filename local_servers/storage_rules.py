"""What Google Cloud Storage checks before it acts on an object, and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

MOST_COMPOSED = 32


@dataclass
class Refused(Exception):  # noqa: N818 - it is a response, not a failure
    """The request is answered with an error."""

    code: int
    reason: str
    message: str

    def body(self) -> dict[str, Any]:
        """Return the error in Google's format."""
        first = {"domain": "global", "reason": self.reason, "message": self.message}
        return {"error": {"code": self.code, "message": self.message, "errors": [first]}}


def no_such_object(bucket: str, name: str) -> Refused:
    """The response for a missing object or generation."""
    return Refused(404, "notFound", f"No such object: {bucket}/{name}")


def no_such_bucket() -> Refused:
    """The response for a missing bucket."""
    return Refused(404, "notFound", "The specified bucket does not exist.")


def check_writing(conditions: Mapping[str, str], current: Mapping[str, Any] | None) -> None:
    """Raise Refused unless the object to be replaced (None: there is none) meets the conditions."""
    generation, metageneration = _versions(current)
    for name, actual, must_be_equal in (
        ("ifGenerationMatch", generation, True),
        ("ifGenerationNotMatch", generation, False),
        ("ifMetagenerationMatch", metageneration, True),
        ("ifMetagenerationNotMatch", metageneration, False),
    ):
        if name in conditions and (int(conditions[name]) == actual) != must_be_equal:
            _condition_not_met(name)


def check_existing(conditions: Mapping[str, str], current: Mapping[str, Any], *, reading: bool) -> None:
    """Raise Refused unless the object to be read, changed or deleted meets the conditions."""
    generation, _ = _versions(current)
    if int(conditions.get("generation", generation)) != generation:
        raise no_such_object(f"{current['bucket']}/{current['name']}", f"#{conditions['generation']}")
    try:
        check_writing(conditions, current)
    except Refused:
        if reading and not {"ifGenerationMatch", "ifMetagenerationMatch"} & set(conditions):
            raise Refused(304, "notModified", "") from None
        raise


def check_source(conditions: Mapping[str, str], source: Mapping[str, Any]) -> None:
    """Raise Refused unless the object to be copied meets the conditions."""
    translated = {"sourceGeneration": "generation"} | {
        f"ifSource{each}": f"if{each}"
        for each in ("GenerationMatch", "GenerationNotMatch", "MetagenerationMatch", "MetagenerationNotMatch")
    }
    of_source = {new: conditions[old] for old, new in translated.items() if old in conditions}
    check_existing(of_source, source, reading=False)


def check_composed(bucket: str, sources: list[Mapping[str, Any]], objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise Refused unless all objects to be composed exist and meet their conditions."""
    if not 1 <= len(sources) <= MOST_COMPOSED:
        raise Refused(400, "invalid", f"The number of source components provided ({len(sources)}) exceeds the maximum")
    for source in sources:
        current = objects.get(source["name"])
        if current is None:
            raise no_such_object(bucket, source["name"])
        conditions = {name: str(value) for name, value in source.get("objectPreconditions", {}).items()}
        if "generation" in source:
            conditions["generation"] = str(source["generation"])
        check_existing(conditions, current, reading=False)


def _versions(current: Mapping[str, Any] | None) -> tuple[int, int]:
    if current is None:
        return 0, 0
    return int(current["generation"]), int(current["metageneration"])


def _condition_not_met(name: str) -> NoReturn:
    raise Refused(412, "conditionNotMet", f"At least one of the pre-conditions you specified did not hold: {name}.")
