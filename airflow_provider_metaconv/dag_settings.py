"""The settings of ``meta_conversations_dag``: arguments, overridden by the Variable, overridden by the run's params.

All settings are validated before the first call. An unknown name, a wrong type and a missing setting each raise a
one-line error: a default in its place might read more Pages than intended, or write to the wrong destination. Values
are never quoted, because they may be secrets.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from airflow_provider_metaconv.extract.extra_fields import ExtraFields
from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.files.manifest import FILE_FORMATS
from airflow_provider_metaconv.files.storage import local_path
from airflow_provider_metaconv.files.storage.gcs_names import normalised, parse_gs_uri
from airflow_provider_metaconv.operators.validation import ON_INCOMPLETE, checked_place, plain_text
from airflow_provider_metaconv.privacy.policy import FULL, PolicyError, PrivacyPolicy
from airflow_provider_metaconv.schema import PLATFORMS
from airflow_provider_metaconv.warehouse.view_options import ViewOptions, ViewOptionsError
from airflow_provider_metaconv.window import LONGEST_RETENTION, SHORTEST_RETENTION, checked_retention

ALL_PAGES = "all"
ARGUMENTS = "the DAG's arguments"
RUN = "the run's params"
MOST_LOOKBACK_MINUTES = 366 * 24 * 60

_TEMPLATE = re.compile(r"\{[{%#]")
_PAGE_ID = re.compile(r"[0-9]{1,40}")
_FOLDER = re.compile(r"[A-Za-z0-9_-]+")
_NAME = re.compile(r"[\w.-]+")
_GS = "gs://"


class SettingsError(ValueError):
    """A setting is unknown, missing or invalid. The message is one line that says what to change."""


def argument_settings(given: Mapping[str, Any], *, warehouse: str, complete: bool) -> dict[str, Any]:
    """Validate a DAG's arguments. ``warehouse`` is the setting that locates its tables: ``database`` or ``dataset``.

    ``complete`` means that there is no other source of settings. Raises ``SettingsError`` for missing or invalid ones.
    """
    given = {"privacy": FULL, "extra_fields": (), "create_views": True, **given}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    settings = _checked({name: settings.get(name) for name in SETTINGS}, lambda _: ARGUMENTS)
    if complete:
        _check_places(settings, warehouse, ARGUMENTS)
        _check_privacy(settings, ARGUMENTS)
    return settings


def days_of(retention: timedelta | None) -> float | None:
    """Return the argument ``retention`` as the setting ``retention_days``; raises ``SettingsError`` if invalid."""
    if retention is None:
        return None
    try:
        return checked_retention(f"retention in {ARGUMENTS}", retention) / timedelta(days=1)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def retention_of(settings: Mapping[str, Any]) -> timedelta | None:
    """Return how long settings keep messages; None means for ever."""
    days = settings["retention_days"]
    return None if days is None else timedelta(days=days)


def check_retention(settings: Mapping[str, Any], arguments: Mapping[str, Any], variable: str | None) -> None:
    """Raise ``SettingsError`` if the Variable has a retention and the DAG no task for it, or the other way round."""
    if (settings["retention_days"] is None) != (arguments["retention_days"] is None):
        raise SettingsError(
            f"retention_days in the Variable {variable} does not apply to this DAG: set it only if the DAG has the "
            "argument retention, which adds the task (sample DAG: META_CONVERSATIONS_RETENTION_DAYS)."
        )


def variable_settings(text: str | None, name: str) -> dict[str, Any]:
    """Parse a Variable; raises ``SettingsError`` if it is missing, is not a JSON object, or has unknown settings."""
    if text is None:
        raise SettingsError(
            f"The Variable {name} does not exist or could not be read (the log above shows secrets backend errors): "
            'it must be JSON, such as {"pages": "all", "destination": "<folder>", "database": "<DuckDB file>"}.'
        )
    try:
        settings = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_reject_constant)
    except SettingsError as error:
        raise SettingsError(f"The Variable {name} {error}") from None
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(f"The Variable {name} is not valid JSON{where}: correct it.") from None
    if not isinstance(settings, dict):
        raise SettingsError(f"The Variable {name} must be a JSON object: put the settings in braces.")
    _check_known(settings, SETTINGS, f"the Variable {name}")
    return settings


def run_params(conf: Mapping[str, Any] | None, params: Mapping[str, Any], declared: Iterable[str]) -> dict[str, Any]:
    """Return the declared params that are set; ``conf`` is the run's own, ``params`` is Airflow's merged result.

    Raises ``SettingsError`` for an undeclared or empty param, and if Airflow ignores the run's conf.
    """
    names = list(declared)
    given = dict(conf or {})
    _check_known(given, names, RUN)
    if any(params.get(name) != value for name, value in given.items()):
        raise SettingsError(
            f"Airflow ignores {RUN}: enable dag_run_conf_overrides_params in its [core] section, or start the run "
            "without params."
        )
    found = {name: params[name] for name in names if params.get(name) is not None}
    for name, value in found.items():
        if value in ("", []):
            raise SettingsError(f"{name} in {RUN} must not be empty: set a value, or leave it out.")
    return found


def merged_settings(
    arguments: Mapping[str, Any],
    stored: Mapping[str, Any],
    run: Mapping[str, Any],
    *,
    warehouse: str,
    variable: str | None = None,
) -> dict[str, Any]:
    """Merge the settings of a run: ``run`` overrides ``stored`` (the Variable), which overrides ``arguments``.

    ``warehouse`` is the setting that locates the DAG's tables. Raises ``SettingsError`` for missing or invalid ones.
    """
    variable_source = ARGUMENTS if variable is None else f"the Variable {variable}"
    _check_warehouse(stored, warehouse, variable_source)

    def source(name: str) -> str:
        if name in run:
            return RUN
        return variable_source if name in stored else ARGUMENTS

    settings = _checked({**arguments, **stored, **run}, source)
    _check_places(settings, warehouse, variable_source)
    _check_privacy(settings, variable_source)
    return settings


def _checked(settings: Mapping[str, Any], source: Callable[[str], str]) -> dict[str, Any]:
    """Validate and normalise each setting; ``source`` returns where a setting comes from."""
    try:
        return {name: check(f"{name} in {source(name)}", settings[name]) for name, check in _CHECKS.items()}
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _check_places(settings: Mapping[str, Any], warehouse: str, source: str) -> None:
    for name in ("pages", "destination", warehouse):
        if settings[name] is None:
            raise SettingsError(f"{name} is not set: add it to {source}, {_HINTS[name]}.")
    if settings["destination"].startswith(_GS) and warehouse == "database":
        raise SettingsError("destination is a bucket, which DuckDB cannot read: use a folder, or load into BigQuery.")
    for name in ("destination", warehouse):
        allowed = settings[f"allowed_{name}s"]
        if allowed is not None and not _is_allowed(name, settings, allowed):
            raise SettingsError(f"{name} is not among allowed_{name}s: use {_listed(allowed)}.")


def _check_privacy(settings: Mapping[str, Any], source: str) -> None:
    if settings["privacy_conn_id"] is None and not PrivacyPolicy.parse(settings["privacy"]).is_full:
        raise SettingsError(
            f"privacy_conn_id is not set: add it to {source}, as the ID of a connection whose password is the key."
        )


_HINTS = {
    "pages": 'as ["<Page ID>"], or "all" for every Page of the token',
    "destination": "as a folder or gs://bucket/prefix",
    "database": "as the path of a DuckDB file",
    "dataset": "as a BigQuery dataset",
}


def _is_allowed(key: str, settings: Mapping[str, Any], allowed: Sequence[str]) -> bool:
    if key == "dataset":
        project = settings["project_id"]
        return _full_dataset_name(settings["dataset"], project) in {
            _full_dataset_name(dataset, project) for dataset in allowed
        }
    place = _levels(settings[key])
    return place is not None and any(
        levels is not None and place[: len(levels)] == levels for levels in map(_levels, allowed)
    )


def _full_dataset_name(dataset: str, project: str | None) -> str:
    return dataset if "." in dataset or not project else f"{project}.{dataset}"


def _levels(place: str) -> tuple[str, ...] | None:
    """Split a folder into levels, so that only whole names match; None if it is not a folder."""
    if place.startswith(_GS):
        try:
            bucket, folder = parse_gs_uri(place)
            return (_GS, bucket, *filter(None, normalised(folder).split("/")))
        except StorageRefusedError:
            return None
    path = local_path(place)
    levels = () if path is None else PurePosixPath(path).parts
    return None if not levels or ".." in levels else levels


def _check_warehouse(stored: Mapping[str, Any], warehouse: str, source: str) -> None:
    """Raise ``SettingsError`` for a Variable for another warehouse: the DAG has no task that loads into it."""
    other, name = ("dataset", "bigquery") if warehouse == "database" else ("database", "duckdb")
    if stored.get(other):
        raise SettingsError(
            f"{other} in {source} does not apply to this DAG, which loads into another warehouse: set {warehouse} "
            f'instead, or create the DAG with warehouse="{name}" (sample DAG: META_CONVERSATIONS_WAREHOUSE={name}).'
        )


def _check_known(given: Mapping[str, Any], known: Iterable[str], source: str) -> None:
    names = sorted(known)
    for key in given:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f", did you mean {near[0]}?" if near else "."
            raise SettingsError(f"Unknown setting {key[:40]!r} in {source}{hint} The settings are {_listed(names)}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingsError(f"has the key {twice[:40]!r} twice: remove one.")
    return found


def _reject_constant(text: str) -> float:
    raise SettingsError(f"contains {text}, which is not valid JSON: use a number.")


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where} must be a non-empty string.")
    if _TEMPLATE.search(value):
        raise ValueError(f"{where} must not contain a template, because it is not rendered: write the value itself.")
    return plain_text(where, value)


def _optional_text(where: str, value: Any) -> str | None:
    return None if value is None or value == "" else _text(where, value)


def _place(where: str, value: Any) -> str | None:
    text = _optional_text(where, value)
    return None if text is None else checked_place(where, text)


def _connection(where: str, value: Any) -> str:
    if not _NAME.fullmatch(_text(where, value)):
        raise ValueError(f"{where} must be the ID of a connection.")
    return str(value)


def _list(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where} must be a non-empty list: put it in brackets.")
    return value


def _pages(where: str, value: Any) -> str | list[str] | None:
    if value is None or value in (ALL_PAGES, [ALL_PAGES]):  # Airflow's form turns the input into a list
        return value and ALL_PAGES
    pages = [str(page) for page in _list(where, value) if isinstance(page, str | int) and not isinstance(page, bool)]
    if len(pages) < len(value) or not all(_PAGE_ID.fullmatch(page) for page in pages):
        raise ValueError(f'{where} must be a list of Page IDs (digits only), or "{ALL_PAGES}".')
    return list(dict.fromkeys(pages))


def _platforms(where: str, value: Any) -> list[str]:
    platforms = [str(platform).upper() for platform in _list(where, value)]
    if not set(platforms) <= set(PLATFORMS):
        raise ValueError(f"{where} must contain only {_listed(PLATFORMS)}.")
    return list(dict.fromkeys(platforms))


def _folders(where: str, value: Any) -> list[str]:
    if not all(isinstance(folder, str) and _FOLDER.fullmatch(folder) for folder in _list(where, value)):
        raise ValueError(f"{where} must be folder names that contain only letters, digits, - and _.")
    return list(dict.fromkeys(value))


def _allowed(where: str, value: Any) -> list[str] | None:
    return None if value is None else [_text(where, entry) for entry in _list(where, value)]


def _minutes(where: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= MOST_LOOKBACK_MINUTES:
        raise ValueError(f"{where} must be a number of minutes from 0 to {MOST_LOOKBACK_MINUTES:,}.")
    return float(value)


def _retention_days(where: str, value: Any) -> float | None:
    if value is None:
        return None
    least, most = SHORTEST_RETENTION.days, LONGEST_RETENTION.days
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{where} must be a number of days from {least} to {most:,}.")
    return float(value)


def _extra_fields(where: str, value: Any) -> list[str]:
    try:
        return ExtraFields.parse(() if value is None else value).names
    except ValueError as error:
        raise ValueError(f"{where} {error}") from None


def _privacy(where: str, value: Any) -> str | dict[str, str]:
    try:
        PrivacyPolicy.parse(value)
    except PolicyError as error:
        raise ValueError(f"{where}: {error}") from None
    return dict(value) if isinstance(value, Mapping) else str(value)


def _view_options(where: str, value: Any) -> dict[str, Any]:
    try:
        return ViewOptions.parse(value).as_dict()
    except ViewOptionsError as error:
        raise ValueError(f"{where}: {error}.") from None


def _boolean(where: str, value: Any) -> bool:
    if value is not True and value is not False:
        raise ValueError(f"{where} must be true or false.")
    return bool(value)


def _optional_connection(where: str, value: Any) -> str | None:
    return None if value is None else _connection(where, value)


def _file_format(where: str, value: Any) -> str:
    return _one_of(where, value, FILE_FORMATS)


def _on_incomplete(where: str, value: Any) -> str | None:
    return None if value is None else _one_of(where, value, ON_INCOMPLETE, "null, ")


def _one_of(where: str, value: Any, allowed: Iterable[str], before: str = "") -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{where} must be {before}{' or '.join(allowed)}.")
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "pages": _pages,
    "platforms": _platforms,
    "folders": _folders,
    "destination": _place,
    "database": _optional_text,
    "dataset": _optional_text,
    "project_id": _optional_text,
    "location": _optional_text,
    "file_format": _file_format,
    "lookback_minutes": _minutes,
    "on_incomplete": _on_incomplete,
    "retention_days": _retention_days,
    "extra_fields": _extra_fields,
    "privacy": _privacy,
    "privacy_conn_id": _optional_connection,
    "create_views": _boolean,
    "view_options": _view_options,
    "meta_conn_id": _connection,
    "gcp_conn_id": _connection,
    "allowed_destinations": _allowed,
    "allowed_datasets": _allowed,
    "allowed_databases": _allowed,
}

SETTINGS = tuple(_CHECKS)
"""The names of all settings: arguments of the DAG, or keys of the Variable."""
