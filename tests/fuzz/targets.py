"""Targets that pass bytes to the code that reads external input, and raise on a finding.

Each catches the errors declared for its input. Any other exception is a finding, and so is a failed assertion.
``test_corpus.py`` replays the bytes of all findings.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any

import msgspec

from airflow_provider_metaconv.extract.checkpoint import Checkpoint, Identity
from airflow_provider_metaconv.files.coverage import Coverage, claimed_since, covered_until, with_claim, with_window
from airflow_provider_metaconv.files.errors import ManifestError
from airflow_provider_metaconv.files.manifest import CHECKPOINT_NAME, Manifest
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.graph.limits import LONGEST_WAIT_SECONDS, Pacer, read_usage
from airflow_provider_metaconv.graph.pagination import parse_page
from airflow_provider_metaconv.graph.redaction import remember
from airflow_provider_metaconv.graph.response import parse_response
from airflow_provider_metaconv.window import Window, WindowError, row_time
from tests.fuzz.extraction import extraction
from tests.simulation.storage import Disk, MemoryStorage, Process

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATUSES = (200, 200, 200, 400, 403, 429, 500, 302, 204)
HEADERS = ("x-app-usage", "x-page-usage", "x-business-use-case-usage", "retry-after")
TOKEN = "secret-token-of-this-page"


def one_line(error: Exception) -> None:
    """Checks that an error is one readable line without the token."""
    text = str(error)
    assert text, type(error)
    assert text == " ".join(text.splitlines()), text
    assert TOKEN not in text, text


def bounded(seconds: float) -> None:
    """Checks that a wait is bounded."""
    assert 0 <= seconds <= LONGEST_WAIT_SECONDS, seconds


def response(data: bytes) -> None:
    """A response of Meta's is parsed, or raises a declared error of one line."""
    status, body = STATUSES[data[0] % len(STATUSES)] if data else 200, data[1:]
    remember(TOKEN)
    try:
        answer = parse_response(status, {}, body)
        page = parse_page(answer.data)
        lenient = parse_page(answer.data, lenient_rows=True)
    except GraphError as error:
        one_line(error)
        bounded(error.retry_after)
        return
    assert len(page.items) == len(lenient.items)
    for item in page.items:
        row_time(item.get("created_time"))


def headers(data: bytes) -> None:
    """Headers never fail a run, and no wait exceeds the maximum."""
    text = data[1:].decode("latin-1")
    given: Mapping[str, str] = {HEADERS[data[0] % len(HEADERS)] if data else HEADERS[0]: text}
    usage = read_usage(given, ("100",))
    assert 0 <= usage.percent < math.inf
    assert all(0 <= pool.regain_seconds <= LONGEST_WAIT_SECONDS for pool in usage.pools)
    waited: list[float] = []
    pacer = Pacer(clock=lambda: sum(waited), sleep=waited.append)
    pacer.observe(usage.percent)
    pacer.wait_turn()
    pacer.wait_turn()
    assert sum(waited) <= 60
    try:
        parse_response(400, given, b'{"error": {"code": 4, "message": "limit"}}')
    except GraphError as error:
        bounded(error.retry_after)


def manifest(data: bytes) -> None:
    """A manifest is read completely or refused, and names only files in its own folder."""
    try:
        found = Manifest.from_bytes(data)
    except ManifestError as error:
        one_line(error)
        return
    for file in found.files:
        assert "/" not in file.path
        assert file.path not in ("", ".", "..")
        assert file.file_format in ("ndjson", "parquet")
        assert min(file.rows, file.bytes) >= 0
    assert found == Manifest.from_bytes(found.to_bytes())


def coverage(data: bytes) -> None:
    """A coverage record is read or refused, and never makes a run start later than without one."""
    try:
        found = Coverage.from_bytes(data)
    except ValueError:
        return
    begin = claimed_since(found, NOW - HOUR, NOW) or covered_until(found, NOW - HOUR) or NOW - HOUR
    assert begin <= NOW - HOUR
    changed = with_window(with_claim(found, NOW - HOUR, NOW), NOW - HOUR, NOW, complete=True)
    assert changed == Coverage.from_bytes(changed.to_bytes())


IDENTITY = Identity("0.1.0", "100", "MESSENGER", "", "2026-11-21T00:00:00+00:00", [None], None, "ndjson")


def checkpoint(data: bytes) -> None:
    """A checkpoint is used or discarded, even if its checksum is correct."""
    sealed = json.dumps({"sha256": hashlib.sha256(data).hexdigest()}).encode()[:-1] + b', "content": ' + data + b"}"
    for stored in (data, sealed):
        disk = Disk({"window": {CHECKPOINT_NAME: stored}})
        saved = Checkpoint(MemoryStorage(disk, "window", Process()), IDENTITY).load()
        if saved is not None:
            assert msgspec.json.decode(msgspec.json.encode(saved.state), type=type(saved.state)) == saved.state


def window(data: bytes) -> None:
    """Two times from users give a window or an error of one line."""
    since, _, until = data.decode("utf-8", "surrogateescape").partition("|")
    try:
        found = Window.parse(since or None, until or None, now=NOW, lookback=HOUR)
    except WindowError as error:
        one_line(error)
        return
    assert found.since is None or found.since < found.until
    assert found.reads_since is None or found.since is None or found.reads_since <= found.since
    found.listing_bound(HOUR)


def edge(data: bytes) -> None:
    """Cursors and ids from a response cannot escape the parameters and path segment of the next call."""
    sent: list[Any] = []

    def get(path: str, parameters: Mapping[str, str] | None = None, *, parse: Any = None, retried: Any = ()) -> Any:
        sent.append((path, parameters))
        return answer

    try:
        answer = parse_response(200, {}, data).data
        found = parse_page(answer)
        ConversationsEdge(get, "100", "MESSENGER", None)
    except GraphError as error:
        one_line(error)
        return
    for value in (found.next_parameters or {}).values():
        assert value.isprintable()


def connection(data: bytes) -> None:
    """A connection's extra, host and token are accepted, or refused in one line that does not quote them."""
    from airflow.sdk import Connection

    from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook

    host, _, extra = data.decode("utf-8", "replace").replace("\0", "").partition("\n")
    hook = MetaGraphHook()
    given = Connection(
        conn_id="meta_graph_default", conn_type="meta_graph", host=host or None, password=TOKEN, extra=extra or None
    )
    hook.get_connection = lambda _: given  # type: ignore[method-assign, assignment]
    try:
        hook.get_conn()
    except GraphError as error:
        one_line(error)


DECLARED = ("pages", "platforms", "since", "until", "destination", "file_format")


def settings(data: bytes) -> None:
    """A Variable's text and a run's params give settings or an error of one line. No pages never means all Pages."""
    stored_text, _, run_text = data.decode("utf-8", "replace").partition("\n\n")
    try:
        conf = json.loads(run_text or "{}")
    except (ValueError, RecursionError):
        return  # Airflow would refuse the run
    for place in ("database", "dataset"):
        _settings(stored_text, conf if isinstance(conf, dict) else {}, place)


def _settings(stored_text: str, conf: dict[str, Any], place: str) -> None:
    from airflow_provider_metaconv import dag_settings

    arguments = dict.fromkeys(dag_settings.SETTINGS) | {
        "platforms": ["MESSENGER"],
        "folders": ["inbox"],
        "file_format": "ndjson",
        "lookback_minutes": 10,
        "privacy": "full",
        "meta_conn_id": "meta_graph_default",
        "gcp_conn_id": "google_cloud_default",
    }
    declared = (*DECLARED, place)
    name = "meta_conversations"
    try:
        stored = dag_settings.variable_settings(stored_text, name)
        run = dag_settings.run_params(conf, dict.fromkeys(declared) | conf, declared)
        found = dag_settings.merged_settings(arguments, stored, run, warehouse=place, variable=name)
    except dag_settings.SettingsError as error:
        one_line(error)
        return
    given = run.get("pages") or stored.get("pages")
    assert found["pages"] == "all" if given in ("all", ["all"]) else found["pages"] == list(map(str, found["pages"]))
    assert "{{" not in json.dumps({name: found[name] for name in ("destination", "database", "dataset")})


TARGETS: dict[str, Callable[[bytes], None]] = {
    "response": response,
    "headers": headers,
    "manifest": manifest,
    "coverage": coverage,
    "checkpoint": checkpoint,
    "window": window,
    "edge": edge,
    "connection": connection,
    "extraction": extraction,
}
if find_spec("airflow_provider_metaconv.dag_settings"):
    TARGETS["settings"] = settings
