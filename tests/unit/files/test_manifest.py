"""The manifest: its content, its location, and what it must refuse."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_metaconv.files import (
    Manifest,
    ManifestError,
    ManifestFile,
    next_part_number,
    window_folder,
    window_id,
)
from airflow_provider_metaconv.files.manifest import window_times

FILE = ManifestFile("messages-00000.ndjson.gz", "messages", 3, 120, "ab" * 32)
MANIFEST = Manifest("100", "MESSENGER", "2026-11-20T00:00:00+00:00", "2026-11-21T00:00:00+00:00", (FILE,), {"calls": 7})


def test_the_manifest_json_matches_its_documentation():
    expected = {
        "version": 1,
        "files": [
            {"path": "messages-00000.ndjson.gz", "table": "messages", "rows": 3, "bytes": 120, "sha256": "ab" * 32}
        ],
        "window": {"since": "2026-11-20T00:00:00+00:00", "until": "2026-11-21T00:00:00+00:00", "reads_since": None},
        "page_id": "100",
        "platform": "MESSENGER",
        "complete": True,
        "gaps": [],
        "extraction_id": "",
        "left_out_fields": [],
        "privacy": {"policy": "full", "key_id": "", "treatments": {}, "replaced": {}},
        "stats": {"calls": 7},
    }
    assert json.loads(MANIFEST.to_bytes()) == expected


PARTIAL = replace(
    MANIFEST, complete=False, gaps=("folder spam was refused",), extraction_id="e1", left_out_fields=("shares",)
)


@pytest.mark.parametrize("manifest", [MANIFEST, replace(MANIFEST, since=None), replace(MANIFEST, files=()), PARTIAL])
def test_a_manifest_survives_a_round_trip(manifest):
    assert manifest == Manifest.from_bytes(manifest.to_bytes())


NEWER_FIELDS = ("complete", "gaps", "extraction_id", "left_out_fields")


@pytest.mark.parametrize(
    ("stats", "complete", "gaps"),
    [({}, True, ()), ({"gaps": []}, True, ()), ({"gaps": ["the list ended early"]}, False, ("the list ended early",))],
)
def test_an_old_manifest_is_complete_unless_its_stats_name_gaps(stats, complete, gaps):
    content = {key: value for key, value in _changed(stats=stats).items() if key not in NEWER_FIELDS}
    manifest = Manifest.from_bytes(json.dumps(content).encode())
    assert replace(MANIFEST, stats=stats, complete=complete, gaps=gaps) == manifest


def test_the_complete_field_overrides_gaps_in_the_stats():
    content = _changed(stats={"gaps": ["the list ended early"]})
    manifest = Manifest.from_bytes(json.dumps(content).encode())
    assert (manifest.complete, manifest.gaps) == (True, ())


def test_the_json_is_indented():
    assert b'\n  "version": 1,\n' in MANIFEST.to_bytes()


def test_the_format_follows_from_the_file_name():
    names = ("messages-00000.ndjson.gz", "messages-00000.parquet")
    assert [replace(FILE, path=name).file_format for name in names] == ["ndjson", "parquet"]


def _changed(**changes):
    return {**json.loads(MANIFEST.to_bytes()), **changes}


def _with_file(**changes):
    entry = {**_changed()["files"][0], **changes}
    return _changed(files=[entry])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not valid JSON"),
        ([], "is not a JSON object"),
        (_changed(version=2), "has version 2, but this release reads version 1: use the release"),
        ({}, "has version None"),
        *((_changed(**{key: None}), f"lacks '{key}'") for key in ("files", "window", "page_id", "platform", "stats")),
        (_changed(window={"since": None}), "lacks 'until'"),
        (_changed(window={"since": 5, "until": "x"}), "has an invalid value for 'since'"),
        (_changed(files=["x"]), "an entry in 'files' that is not an object"),
        *((_with_file(**{key: None}), f"lacks '{key}'") for key in ("path", "table", "rows", "bytes", "sha256")),
        (_with_file(rows=True), "has an invalid value for 'rows'"),
        (_with_file(rows=-1), "has an invalid size, row count or sha256"),
        (_with_file(sha256="xyz"), "has an invalid size, row count or sha256"),
        (_with_file(path="/etc/messages-00000.ndjson.gz"), "not in its own folder"),
        (_with_file(path="../messages-00000.ndjson.gz"), "not in its own folder"),
        (_with_file(path="..\\messages-00000.ndjson.gz"), "not in its own folder"),
        (_with_file(path="gs://b/messages-00000.ndjson.gz"), "not in its own folder"),
        (_with_file(path="messages-00000.csv"), "must end in .ndjson.gz or .parquet"),
        (_with_file(table="users"), "unknown table 'users'"),
        (_changed(files=_changed()["files"] * 2), "lists a file twice"),
        (_changed(complete="yes"), "has an invalid value for 'complete'"),
        (_changed(complete=None), "has an invalid value for 'complete'"),
        (_changed(gaps="none"), "has an invalid value for 'gaps'"),
        (_changed(left_out_fields=[1]), "has an invalid value for 'left_out_fields'"),
        (_changed(extraction_id=1), "has an invalid value for 'extraction_id'"),
    ],
)
def test_an_invalid_manifest_is_refused_in_one_line(content, problem):
    data = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(ManifestError) as caught:
        Manifest.from_bytes(data.encode(), source="/data/_manifest.json")
    assert str(caught.value).startswith("/data/_manifest.json ")
    assert problem in str(caught.value)
    assert "run the extract task again" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_folder_names_the_window():
    since, until = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    expected = "platform=messenger/page_id=100/window=20261120T000000Z_20261121T000000Z"
    assert window_folder("MESSENGER", "100", since, until) == expected


def test_the_folder_of_a_full_history_says_begin():
    expected = "platform=instagram/page_id=100/window=begin_20261121T000000Z"
    assert window_folder("INSTAGRAM", "100", None, datetime(2026, 11, 21, tzinfo=UTC)) == expected


def test_the_folder_ends_with_the_window_id():
    window = (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
    assert window_folder("MESSENGER", "100", *window).endswith(f"/window={window_id(*window)}")


def test_the_folder_is_the_same_in_every_time_zone():
    elsewhere = datetime(2026, 11, 21, 1, tzinfo=timezone(timedelta(hours=1)))
    assert window_folder("MESSENGER", "1", None, elsewhere).endswith("begin_20261121T000000Z")


def test_subsecond_differences_give_separate_folders():
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    first, second = (window_folder("MESSENGER", "1", None, at) for at in (moment, moment + timedelta(microseconds=1)))
    assert first != second


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="must have a time zone"):
        window_folder("MESSENGER", "1", None, datetime(2026, 11, 21))  # noqa: DTZ001


@pytest.mark.parametrize("page_id", ["", "../1", "1/2", ".", "1 2"])
def test_a_page_id_cannot_escape_the_destination(page_id):
    with pytest.raises(ValueError, match="page_id must contain only letters, digits, - and _"):
        window_folder("MESSENGER", page_id, None, datetime(2026, 11, 21, tzinfo=UTC))


def test_part_numbers_continue_across_tables_and_formats():
    names = ["messages-00009.ndjson.gz", "conversations-00011.parquet", "_manifest.json", "notes-00099.txt"]
    assert (next_part_number([]), next_part_number(names)) == (0, 12)


def test_list_filters_become_levels_of_the_path():
    until = datetime(2026, 11, 21, tzinfo=UTC)
    expected = "platform=messenger/page_id=100/folder=spam/window=begin_20261121T000000Z"
    assert window_folder("MESSENGER", "100", None, until, {"folder": "spam", "user_id": None}) == expected


def test_list_filters_cannot_escape_the_destination():
    with pytest.raises(ValueError, match="folder must contain only letters, digits, - and _"):
        window_folder("MESSENGER", "100", None, datetime(2026, 11, 21, tzinfo=UTC), {"folder": "../spam"})


def test_years_have_four_digits_so_windows_sort():
    first, second = (datetime(year, 1, 1, tzinfo=UTC) for year in (1, 999))
    assert window_id(first, second) == "00010101T000000Z_09990101T000000Z"


@pytest.mark.parametrize("since", [None, datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 11, 20, 1, 2, 3, 4, tzinfo=UTC)])
def test_the_times_of_a_window_are_in_its_folders_name(since: datetime | None) -> None:
    until = datetime(2026, 11, 21, tzinfo=UTC)
    assert window_times(window_folder("MESSENGER", "100", since, until).split("/")[-1]) == (since, until)


@pytest.mark.parametrize(
    "name", ["", "window=", "window=begin", "window=begin_20261120", "begin_20261120T000000Z", "x"]
)
def test_other_folders_are_no_windows(name: str) -> None:
    assert window_times(name) is None
