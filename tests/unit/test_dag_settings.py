"""Settings from a Variable and a run's params are validated. An error never widens them, and never quotes a value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_metaconv.dag_settings import (
    ARGUMENTS,
    SETTINGS,
    SettingsError,
    argument_settings,
    merged_settings,
    run_params,
    variable_settings,
)
from airflow_provider_metaconv.warehouse.view_options import ViewOptions

DEFAULTS: dict[str, Any] = {
    "pages": None,
    "platforms": ["MESSENGER", "INSTAGRAM"],
    "folders": ["inbox"],
    "destination": None,
    "database": None,
    "dataset": None,
    "project_id": None,
    "location": None,
    "file_format": "ndjson",
    "lookback_minutes": 10,
    "retention_days": None,
    "on_incomplete": None,
    "extra_fields": [],
    "privacy": "full",
    "privacy_conn_id": None,
    "create_views": True,
    "view_options": None,
    "meta_conn_id": "meta_graph_default",
    "gcp_conn_id": "google_cloud_default",
    "allowed_destinations": None,
    "allowed_datasets": None,
    "allowed_databases": None,
}
STORED = {"pages": "all", "destination": "/data/meta", "database": "/data/meta.duckdb"}
IN_BIGQUERY = {"pages": "all", "destination": "/data/meta", "dataset": "meta"}


def settings(stored: dict[str, Any], run: dict[str, Any] | None = None) -> dict[str, Any]:
    """The settings of a run, for a DAG that loads into the warehouse that the settings name."""
    place = "dataset" if {**stored, **(run or {})}.get("dataset") else "database"
    return merged_settings(DEFAULTS, stored, run or {}, warehouse=place, variable="conversations")


def refused(stored: dict[str, Any], run: dict[str, Any] | None = None) -> str:
    """The one-line error for these settings."""
    with pytest.raises(SettingsError) as caught:
        settings(stored, run)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused_variable(text: str | None) -> str:
    with pytest.raises(SettingsError) as caught:
        variable_settings(text, "conversations")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_settings_are_normalized() -> None:
    found = settings(
        {**STORED, "platforms": ["messenger", "MESSENGER"], "pages": [100, "100", "101"], "folders": ["a", "a"]}
    )
    assert (found["platforms"], found["pages"], found["folders"]) == (["MESSENGER"], ["100", "101"], ["a"])


def test_all_can_be_entered_in_airflows_trigger_form() -> None:
    assert settings(STORED, {"pages": ["all"]})["pages"] == "all"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "The Variable conversations does not exist or could not be read"),
        (
            '{"pages": ["100"], "destination": "/data"',
            "The Variable conversations is not valid JSON (line 1, column 42)",
        ),
        ("", "The Variable conversations is not valid JSON"),
        ("[" * 100_000, "The Variable conversations is not valid JSON"),
        ('"all"', "The Variable conversations must be a JSON object"),
        ("null", "The Variable conversations must be a JSON object"),
        ('{"pages": "all", "pages": ["100"]}', "The Variable conversations has the key 'pages' twice"),
        ('{"lookback_minutes": NaN}', "The Variable conversations contains NaN"),
        (
            '{"page": ["100"]}',
            "Unknown setting 'page' in the Variable conversations, did you mean pages? The settings are",
        ),
        ('{"zzz": 1}', "Unknown setting 'zzz' in the Variable conversations. The settings are allowed_databases, "),
    ],
)
def test_an_unreadable_variable_is_refused_in_one_line(text: str | None, expected: str) -> None:
    assert refused_variable(text).startswith(expected)


def test_a_misspelled_param_gets_a_suggestion() -> None:
    with pytest.raises(SettingsError, match=r"Unknown setting 'page' in the run's params, did you mean pages\?"):
        run_params({"page": ["100"]}, {"page": ["100"], "pages": None}, ["pages", "since"])


@pytest.mark.parametrize("key", ["pages", "destination"])
def test_pages_and_destination_are_required(key: str) -> None:
    given = {name: value for name, value in STORED.items() if name != key}
    assert refused(given).startswith(f"{key} is not set: add it to the Variable conversations, as ")
    assert settings(given, {key: STORED[key]})[key] == STORED[key]


@pytest.mark.parametrize("place", ["database", "dataset"])
def test_the_warehouse_location_is_required(place: str) -> None:
    given = {"pages": "all", "destination": "/data/meta"}
    with pytest.raises(SettingsError, match=f"^{place} is not set: add it to the Variable conversations, as "):
        merged_settings(DEFAULTS, given, {}, warehouse=place, variable="conversations")


@pytest.mark.parametrize(
    ("place", "other", "name"), [("database", "dataset", "bigquery"), ("dataset", "database", "duckdb")]
)
def test_a_setting_of_another_warehouse_is_refused_with_advice(place: str, other: str, name: str) -> None:
    stored = {"pages": "all", "destination": "/data/meta", other: "meta"}
    with pytest.raises(
        SettingsError, match=f"^{other} in the Variable conversations does not apply to this DAG"
    ) as caught:
        merged_settings(DEFAULTS, stored, {}, warehouse=place, variable="conversations")
    assert f'warehouse="{name}" (sample DAG: META_CONVERSATIONS_WAREHOUSE={name})' in str(caught.value)


def test_params_override_the_variable_which_overrides_arguments() -> None:
    arguments = {**DEFAULTS, "pages": ["1"], "destination": "/a", "database": "/a.duckdb", "folders": ["a"]}
    stored = {"pages": ["2"], "destination": "/b", "database": "/b.duckdb"}
    run = {"pages": ["3"], "destination": "/c"}
    found = merged_settings(arguments, stored, run, warehouse="database", variable="conversations")
    expected = {"pages": ["3"], "destination": "/c", "database": "/b.duckdb", "folders": ["a"]}
    assert {name: found[name] for name in expected} == expected


def test_arguments_are_checked_like_a_variable() -> None:
    complete = argument_settings(
        {**DEFAULTS, **STORED, "platforms": ("messenger",)}, warehouse="database", complete=True
    )
    assert (complete["platforms"], complete["database"]) == (["MESSENGER"], "/data/meta.duckdb")
    with pytest.raises(SettingsError, match=f"^platforms in {ARGUMENTS} must contain only MESSENGER, INSTAGRAM"):
        argument_settings({**DEFAULTS, **STORED, "platforms": ["X"]}, warehouse="database", complete=True)


@pytest.mark.parametrize("key", ["pages", "destination"])
def test_arguments_without_a_variable_must_be_complete(key: str) -> None:
    given = {**DEFAULTS, **STORED, key: None}
    with pytest.raises(SettingsError, match=f"^{key} is not set: add it to {ARGUMENTS}, as "):
        argument_settings(given, warehouse="database", complete=True)
    assert argument_settings(given, warehouse="database", complete=False)[key] is None


def test_these_tests_cover_every_setting() -> None:
    assert set(SETTINGS) == set(DEFAULTS)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"pages": "100"}, "pages in the Variable conversations must be a non-empty list"),
        ({"pages": []}, "pages in the Variable conversations must be a non-empty list"),
        ({"pages": ["100", "all"]}, "must be a list of Page IDs (digits only)"),
        ({"pages": [True]}, "must be a list of Page IDs (digits only)"),
        ({"pages": [None]}, "must be a list of Page IDs (digits only)"),
        ({"pages": [1.5]}, "must be a list of Page IDs (digits only)"),
        ({"pages": ["\u0661"]}, "must be a list of Page IDs (digits only)"),
        ({"pages": {"100": 1}}, "pages in the Variable conversations must be a non-empty list"),
        ({"platforms": []}, "platforms in the Variable conversations must be a non-empty list"),
        ({"platforms": ["WHATSAPP"]}, "must contain only MESSENGER, INSTAGRAM"),
        ({"platforms": "MESSENGER"}, "must be a non-empty list"),
        ({"folders": ["a/b"]}, "folders in the Variable conversations must be folder names"),
        ({"folders": [1]}, "must be folder names"),
        ({"folders": []}, "must be a non-empty list"),
        ({"destination": ["/data"]}, "destination in the Variable conversations must be a non-empty string"),
        (
            {"destination": "/data/\x00"},
            "destination in the Variable conversations must not contain control characters",
        ),
        ({"destination": "C:\\data"}, "destination in the Variable conversations must not contain a backslash"),
        ({"destination": "/data/\n"}, "must not contain control characters"),
        ({"destination": "/data/\ud800"}, "unpaired surrogates"),
        ({"destination": "/" + "a" * 5000}, "must not be longer than 4,096 characters"),
        ({"destination": "gs://example-bucket/meta"}, "destination is a bucket, which DuckDB cannot read"),
        ({"database": 1}, "database in the Variable conversations must be a non-empty string"),
        ({"file_format": "csv"}, "file_format in the Variable conversations must be ndjson or parquet"),
        ({"file_format": None}, "must be ndjson or parquet"),
        ({"on_incomplete": "ignore"}, "on_incomplete in the Variable conversations must be null, warn or fail"),
        ({"on_incomplete": ["warn"]}, "must be null, warn or fail"),
        ({"extra_fields": "is_owner"}, "extra_fields in the Variable conversations must be a list of names"),
        ({"extra_fields": ["replies{id}"]}, "extra_fields in the Variable conversations must have only plain names"),
        ({"extra_fields": ["{{ conn.x }}"]}, "must have only plain names"),
        ({"extra_fields": ["conversations.snippet"]}, "must not have snippet"),
        ({"lookback_minutes": -1}, "lookback_minutes in the Variable conversations must be a number of minutes"),
        ({"lookback_minutes": "10"}, "must be a number of minutes"),
        ({"lookback_minutes": True}, "must be a number of minutes"),
        ({"lookback_minutes": 1e300}, "must be a number of minutes from 0 to 527,040"),
        ({"lookback_minutes": float("nan")}, "must be a number of minutes"),
        ({"meta_conn_id": "a b"}, "meta_conn_id in the Variable conversations must be the ID of a connection"),
        ({"meta_conn_id": None}, "meta_conn_id in the Variable conversations must be a non-empty string"),
        (
            {"allowed_destinations": "/data"},
            "allowed_destinations in the Variable conversations must be a non-empty list",
        ),
        ({"allowed_destinations": []}, "must be a non-empty list"),
    ],
)
def test_an_invalid_value_is_refused_by_name_in_one_line(wrong: dict[str, Any], expected: str) -> None:
    assert expected in refused({**STORED, **wrong})


def test_the_error_names_the_source_of_the_value() -> None:
    assert "platforms in the run's params must contain only" in refused(STORED, {"platforms": ["x"]})


@pytest.mark.parametrize("mark", ["{{ conn.other.password }}", "{% if 1 %}", "{# x #}"])
@pytest.mark.parametrize("key", ["destination", "database", "dataset", "project_id", "location", "meta_conn_id"])
def test_a_template_is_refused_in_any_setting(key: str, mark: str) -> None:
    given = {name: value for name, value in STORED.items() if key != "dataset" or name != "database"}
    line = refused({**given, key: f"x{mark}"})
    assert f"{key} in the Variable conversations must not contain a template, because it is not rendered" in line
    assert mark not in line


@pytest.mark.parametrize("key", DEFAULTS)
def test_errors_never_quote_a_value(key: str) -> None:
    # A misplaced secret must not reach a log.
    wrong: list[Any] = [{"secret-value": "secret-value"}, "secret-value\n", ["secret-value\n"]]
    for value in wrong:
        given = {name: kept for name, kept in STORED.items() if key != "dataset" or name != "database"}
        assert "secret-value" not in refused({**given, key: value})


ALLOWED = {"allowed_destinations": ["/data/meta", "gs://example-bucket/meta/"]}


@pytest.mark.parametrize(
    "place", ["/data/meta", "/data/meta/", "/data/meta/x/y", "/data/./meta//x", "file:///data/meta/x"]
)
def test_paths_below_an_allowed_folder_are_accepted(place: str) -> None:
    assert place == settings({**STORED, **ALLOWED}, {"destination": place})["destination"]


@pytest.mark.parametrize("place", ["gs://example-bucket/meta", "gs://example-bucket//meta/x"])
def test_paths_below_an_allowed_bucket_prefix_are_accepted(place: str) -> None:
    assert place == settings({**IN_BIGQUERY, **ALLOWED}, {"destination": place})["destination"]


@pytest.mark.parametrize(
    "place",
    [
        "/data/meta-evil",
        "/data/metaevil",
        "/data",
        "/",
        "data/meta",
        "/data/meta/../x",
        "/data/meta/..",
        "/data/x/../meta",
        "file:///data/meta/%2e%2e/x",
        "file://elsewhere/data/meta",
        "//data/meta",
        "/DATA/meta",
        "gs://example-bucket/meta-evil",
        "gs://example-bucket/meta/../x",
        "gs://example-bucket",
        "gs://example-bucket-evil/meta",
        "GS://example-bucket/meta",
        "s3://example-bucket/meta",
    ],
)
def test_lookalikes_of_allowed_destinations_are_refused(place: str) -> None:
    line = refused({**IN_BIGQUERY, **ALLOWED}, {"destination": place})
    assert line.startswith("destination is not among allowed_destinations: use /data/meta, ")


@pytest.mark.parametrize(("dataset", "ok"), [("meta", True), ("p.meta", True), ("q.meta", False), ("meta2", False)])
def test_datasets_are_allowed_by_project_and_name(dataset: str, ok: bool) -> None:
    stored = {
        "pages": "all",
        "destination": "/data",
        "dataset": "meta",
        "project_id": "p",
        "allowed_datasets": ["meta"],
    }
    if ok:
        assert dataset == settings(stored, {"dataset": dataset})["dataset"]
    else:
        assert "dataset is not among allowed_datasets" in refused(stored, {"dataset": dataset})


def test_databases_are_allowed_by_file_or_folder() -> None:
    stored = {**STORED, "allowed_databases": ["/data/meta.duckdb", "/data/trials"]}
    assert settings(stored, {"database": "/data/trials/a.duckdb"})["database"] == "/data/trials/a.duckdb"
    assert "database is not among allowed_databases" in refused(stored, {"database": "/data/meta.duckdb2"})


def test_the_variable_of_demo_and_trial_is_accepted() -> None:
    text = json.dumps({"pages": "all", "destination": "gs://example-bucket/x", "dataset": "meta", "location": None})
    assert settings(variable_settings(text, "conversations"))["dataset"] == "meta"


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, []), ([], []), (["thread_id", "conversations.is_owner"], ["conversations.is_owner", "thread_id"])],
)
def test_extra_fields_come_from_the_variable(given: Any, expected: list[str]) -> None:
    assert settings({**STORED, "extra_fields": given})["extra_fields"] == expected


def test_view_options_are_stored_in_full():
    chosen = settings(STORED | {"create_views": False, "view_options": {"time_zone": "Europe/Berlin"}})
    assert chosen["create_views"] is False
    assert ViewOptions.parse(chosen["view_options"]) == ViewOptions(time_zone="Europe/Berlin")


def test_invalid_view_options_are_refused_in_one_line():
    assert refused(STORED | {"view_options": {"time_zone": "Berlin"}}) == (
        "view_options in the Variable conversations: time_zone must be an IANA name, such as Europe/Berlin."
    )
    assert refused(STORED | {"create_views": "yes"}) == (
        "create_views in the Variable conversations must be true or false."
    )
