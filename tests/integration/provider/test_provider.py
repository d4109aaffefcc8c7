"""What Airflow sees of the package: valid provider info, a connection form, and light imports."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pkgutil import iter_modules

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseHook, BaseNotifier, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

from airflow_provider_metaconv.get_provider_info import get_provider_info
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook

AIRFLOW_PACKAGES = ("hooks", "operators", "triggers", "observability")


def test_the_provider_info_matches_airflows_schema() -> None:
    [entry] = [e for e in entry_points(group="apache_airflow_provider") if e.value.startswith("airflow_provider_meta")]
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(entry.load()(), schema)


def modules_with(base: type) -> set[str]:
    """The modules of the package that define a public subclass of ``base``."""
    packages = [import_module(f"airflow_provider_metaconv.{name}") for name in AIRFLOW_PACKAGES]
    return {
        name
        for package in packages
        for _, name, _ in iter_modules(package.__path__, f"{package.__name__}.")
        for value in vars(import_module(name)).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == name
    }


def listed(kind: str) -> set[str]:
    return {module for group in get_provider_info()[kind] for module in group["python-modules"]}


@pytest.mark.parametrize(("kind", "base"), [("hooks", BaseHook), ("triggers", BaseTrigger)])
def test_every_hook_and_trigger_module_is_listed(kind: str, base: type) -> None:
    assert listed(kind) == modules_with(base)


def test_every_operator_module_is_listed() -> None:
    parents = {"airflow_provider_metaconv.operators.stopping"}
    assert listed("operators") == modules_with(BaseOperator) - parents


def test_every_operator_link_is_listed() -> None:
    shown = {
        f"{type(link).__module__}.{type(link).__name__}"
        for module in listed("operators")
        for operator in vars(import_module(module)).values()
        if isinstance(operator, type) and issubclass(operator, BaseOperator)
        for link in operator.operator_extra_links
    }
    assert set(get_provider_info()["extra-links"]) == shown


def test_the_package_has_no_other_kind_of_component() -> None:
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    # Executors, log handlers, secrets backends and so on: a new key here is a new kind of component.
    assert set(get_provider_info()) & set(schema["properties"]) == {
        "connection-types",
        "description",
        "extra-links",
        "hooks",
        "integrations",
        "name",
        "operators",
        "package-name",
        "transfers",
        "triggers",
    }
    assert modules_with(BaseSensorOperator) | modules_with(BaseNotifier) == set()


def test_airflow_loads_the_plugin() -> None:
    """As the api-server does, with providers discovered lazily, which is Airflow's default."""
    from airflow import plugins_manager

    [plugin] = [each for each in plugins_manager.get_plugin_info() if each["name"] == "meta_conversations"]
    assert [app["url_prefix"] for app in plugin["fastapi_apps"]] == ["/meta-conversations"]
    assert [view["destination"] for view in plugin["external_views"]] == ["nav", "dag"]


def test_transfers_name_known_integrations() -> None:
    google = pytest.importorskip("airflow.providers.google.get_provider_info").get_provider_info()
    info = get_provider_info()
    known = {each["integration-name"] for each in (*info["integrations"], *google["integrations"])}
    for transfer in info["transfers"]:
        assert {transfer["source-integration-name"], transfer["target-integration-name"]} <= known
        assert transfer["python-module"] in listed("operators")


def test_the_connection_types_class_is_the_hook() -> None:
    module, _, name = get_provider_info()["connection-types"][0]["hook-class-name"].rpartition(".")
    assert getattr(import_module(module), name) is MetaGraphHook


def test_the_form_hides_the_same_fields_on_old_and_new_airflow() -> None:
    declared = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
    assert declared["hidden-fields"] == MetaGraphHook.get_ui_field_behaviour()["hidden_fields"]


def test_importing_hook_and_operators_loads_no_heavy_library() -> None:
    modules = ("hooks.meta_graph", "operators.extract", "operators.load")
    imports = "; ".join(f"import airflow_provider_metaconv.{module}" for module in modules)
    code = f"{imports}; import sys; print([m for m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"duckdb", "pyarrow", "google.auth", "google.api_core", "starlette", "uvicorn", "pandas"}
    assert set() == heavy & set(eval(printed.splitlines()[-1]))
