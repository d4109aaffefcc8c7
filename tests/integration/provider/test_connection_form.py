"""The connection form, the documented ways to define a connection, and the shell command that tests it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import pytest
from airflow.models.connection import Connection as StoredConnection
from airflow.providers.common.compat.sdk import Connection
from packaging.version import Version

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, World, WorldSettings
from airflow_provider_metaconv.get_provider_info import CONNECTION_FIELDS
from airflow_provider_metaconv.graph.error_rules import ERROR_RULES
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    InvalidRequestError,
    PermissionDeniedError,
    TokenError,
)
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook, _Settings

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("reference/connection.md", "how-to/tokens.md")
CONNECTION, TOKENS = ((DOCS / name).read_text(encoding="utf-8") for name in PAGES)
EXPORTS = [
    dict(word.split("=", 1) for word in shlex.split(block, comments=True) if word.startswith("AIRFLOW_CONN_"))
    for block in re.findall(r"```bash\n(.*?)```", CONNECTION, re.DOTALL)
]
EXAMPLES = [value for export in EXPORTS for value in export.values()]


def parsed(text: str) -> list[Any]:
    """The connection as tasks parse it and as the server parses it."""
    if text.startswith("{"):
        kinds = (Connection, StoredConnection)
        return [kind.from_json(text, conn_id="meta_graph_default") for kind in kinds]
    return [
        Connection.from_uri(text, conn_id="meta_graph_default"),
        StoredConnection(conn_id="meta_graph_default", uri=text),
    ]


def test_both_forms_have_examples() -> None:
    assert tuple(sum(text.startswith(start) for text in EXAMPLES) for start in ("{", "meta-graph://")) == (2, 2)


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_documented_example_gives_the_same_connection(text: str) -> None:
    for connection in parsed(text):
        assert connection.conn_type == "meta_graph"
        settings = _Settings.of(connection)
        assert settings.credentials.token == "EXAMPLE-TOKEN"
        assert (
            settings.base_url,
            settings.api_version,
            settings.calls_per_second,
        ) == ("https://graph.facebook.com", "v26.0", 2)
        if "example-app-secret" in text:
            assert settings.credentials.app_secret == "example-app-secret"


def test_settings_show_neither_token_nor_secret() -> None:
    shown = "".join(repr(_Settings.of(parsed(text)[0])) for text in EXAMPLES)
    assert ("EXAMPLE-TOKEN" in shown, "example-app-secret" in shown) == (False, False)


def test_the_port_can_be_a_separate_field() -> None:
    [connection, _] = parsed('{"conn_type": "meta_graph", "password": "t", "host": "http://127.0.0.1", "port": 8080}')
    assert _Settings.of(connection).base_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("extra", ["[]", "{", "3"])
def test_an_invalid_extra_is_rejected_rather_than_ignored(extra: str) -> None:
    connection = Connection(conn_id="meta_graph_default", conn_type="meta_graph", password="t", extra=extra)
    with pytest.raises(InvalidRequestError, match="must be a JSON object"):
        _Settings.of(connection)


def test_every_field_of_the_form_is_documented() -> None:
    for name, field in CONNECTION_FIELDS.items():
        assert f"| `extra.{name}` | {field['label']} |" in CONNECTION
        assert field["description"]


@pytest.mark.skipif(Version(airflow.__version__) < Version("3.2"), reason="reads the form from the hook")
def test_the_form_hides_secrets_and_unused_fields() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    [form] = [form for form in HookMetaService.hook_meta_data() if form.connection_type == "meta_graph"]
    assert form.extra_fields is not None
    assert set(form.extra_fields) == set(CONNECTION_FIELDS)
    assert form.extra_fields["app_secret"]["schema"]["format"] == "password"
    standard: Any = form.standard_fields
    assert standard.password.title == "Access token"
    assert standard.host.placeholder == "https://graph.facebook.com"
    fields = (standard.login, standard.url_schema, standard.port)
    assert [bool(field.hidden) for field in fields] == [True, True, False]


def test_the_form_of_airflow_3_1_has_the_same_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    class Field:
        def __init__(self, label: str, description: str) -> None:
            self.label, self.description = label, description

    class PasswordField(Field):
        pass

    monkeypatch.setitem(sys.modules, "wtforms", SimpleNamespace(StringField=Field, PasswordField=PasswordField))
    widgets = MetaGraphHook.get_connection_form_widgets()
    assert {name: field["label"] for name, field in CONNECTION_FIELDS.items()} == {
        name: widget.label for name, widget in widgets.items()
    }
    assert [name for name, widget in widgets.items() if isinstance(widget, PasswordField)] == ["app_secret"]


def test_a_missing_forms_library_affects_only_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wtforms", None)
    with pytest.raises(ImportError, match="wtforms"):
        MetaGraphHook.get_connection_form_widgets()


TEST_EACH = """
import runpy, sys

for conn_id in sys.argv[1:]:
    sys.argv = ["airflow", "connections", "test", "-v", conn_id]
    try:
        runpy.run_module("airflow", run_name="__main__")
    except SystemExit as ended:
        print("exit status", ended.code)
    print("end of", conn_id)
"""


def test_the_shell_command_shows_the_outcome_and_no_secret() -> None:
    """Two commands in one process, because Airflow takes seconds to start."""
    world = World.generate(WorldSettings(pages=2, messages=0))
    with EmulatorServer(world, EmulatorSettings(pages_without_instagram=frozenset({"101"}))) as server:
        server.service.tokens.expire(server.user_token, 460)
        extra = {"app_secret": server.app_secret, "calls_per_second": 100}
        connection = {"conn_type": "meta_graph", "host": server.url, "extra": extra}
        environment = {
            **os.environ,
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_CONN_VALID": json.dumps(connection | {"password": server.system_user_token}),
            "AIRFLOW_CONN_EXPIRED": json.dumps(connection | {"password": server.user_token}),
            "COLUMNS": "4000",
        }
        command = [sys.executable, "-c", TEST_EACH, "valid", "expired"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        passed, failed = done.stdout.removesuffix("end of expired\n").split("end of valid\n")
        assert "Connection success!" in passed
        assert "exit status" not in passed
        printed = passed + done.stderr  # Airflow 3.1 logs to stderr
        assert "This is the system user token of Emulator System User (id 5000000000000002" in printed
        assert "Example Bikes (id 101: MESSENGER)" in printed
        # Not checked by exit status, which Airflow 3.1 leaves at 0.
        assert "Connection failed!" in failed
        assert "[190/460] The user's password changed" in " ".join(failed.split())
        secrets = (server.user_token, server.system_user_token, server.app_secret, server.page_token("100"))
        assert [secret for secret in secrets if secret in done.stdout + done.stderr] == []


def test_the_tokens_page_lists_every_error_that_needs_action() -> None:
    rows = [
        f"| {code}{'' if subcode is None else f'/{subcode}'}{f' {chr(34)}{row.text}{chr(34)}' if row.text else ''} "
        f"| {row.meaning} | {row.advice} |"
        for (code, subcode), known in ERROR_RULES.items()
        for row in known
        if row.error in (TokenError, PermissionDeniedError, BlockedError) and (code != 102 or subcode is None)
    ]
    assert [row for row in rows if row not in TOKENS] == []


def test_every_error_that_needs_action_has_advice() -> None:
    final = (TokenError, PermissionDeniedError, BlockedError)
    assert [key for key, rows in ERROR_RULES.items() for row in rows if row.error in final and not row.advice] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_and_code_of_the_pages_are_valid(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    files = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert [file for file in files if not ((DOCS / page).parent / file).exists()] == []
    names = set(re.findall(r"\]\[([a-z-]+)\]", text))
    assert names == set(re.findall(r"^\[([a-z-]+)\]: https://", text, re.MULTILINE))
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(code, page, "exec")
