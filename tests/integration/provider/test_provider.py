"""What Airflow sees of the package: valid provider info, a connection form, and light imports."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files

import jsonschema
import pytest

from airflow_provider_metaconv.get_provider_info import get_provider_info
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook


def test_the_entry_point_gives_info_that_airflows_schema_accepts() -> None:
    [entry] = [e for e in entry_points(group="apache_airflow_provider") if e.value.startswith("airflow_provider_meta")]
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(entry.load()(), schema)


def test_every_class_and_module_that_is_named_exists() -> None:
    info = get_provider_info()
    for kind in ("hooks", "operators"):
        for module in info[kind][0]["python-modules"]:
            import_module(module)
    module, _, name = info["connection-types"][0]["hook-class-name"].rpartition(".")
    assert MetaGraphHook is getattr(import_module(module), name)


def test_the_form_hides_the_same_fields_on_old_and_new_airflow() -> None:
    declared = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
    assert declared["hidden-fields"] == MetaGraphHook.get_ui_field_behaviour()["hidden_fields"]


@pytest.mark.parametrize("module", ["operators.extract", "operators.load", "hooks.meta_graph"])
def test_importing_a_part_brings_no_heavy_library_along(module: str) -> None:
    code = f"import airflow_provider_metaconv.{module}, sys; print([m for m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"duckdb", "pyarrow", "google.auth", "google.api_core", "starlette", "uvicorn", "pandas"}
    assert set() == heavy & set(eval(printed.splitlines()[-1]))
