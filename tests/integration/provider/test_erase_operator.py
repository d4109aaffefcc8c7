"""The operator and the command refuse bad input in one line, quote no ID, and write nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_metaconv.erase.erase import change_suppressed, read_suppressed
from airflow_provider_metaconv.erasure_dag import meta_erasure_dag
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.operators.erase import MetaErasePersonOperator, checked_person_ids
from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.unsuppress import main

ANA = "24681357"


def refused(folder: Path, **arguments: Any) -> str:
    values: dict[str, Any] = {"person_ids": ANA, "destination": str(folder / "data"), **arguments}
    with pytest.raises(AirflowFailException) as caught:
        MetaErasePersonOperator(task_id="erase", **values).execute({})
    assert "\n" not in str(caught.value)
    assert not (folder / "data").exists()
    return str(caught.value)


@pytest.mark.parametrize("person_ids", ["", "ana", "24681357; x", [], ["24681357", "ana"], "1" * 41, "-1", "٢"])
def test_an_id_that_is_no_id_is_refused_unquoted(tmp_path: Path, person_ids: Any) -> None:
    message = refused(tmp_path, person_ids=person_ids)
    assert message == "person_ids must be IDs of people (digits only), as sender_id or participants show them."


@pytest.mark.parametrize("warehouse", ["duckdb", "duckdb://", "postgres://user:secret@host/db", ""])
def test_an_unknown_warehouse_is_refused_unquoted(tmp_path: Path, warehouse: str) -> None:
    message = refused(tmp_path, warehouse=warehouse)
    assert message == 'warehouse must be "duckdb:///data/conversations.duckdb" or "bigquery://project.dataset".'


def test_an_unknown_scope_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, scope="all") == "scope must be conversation or own."


def test_a_short_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_META_PRIVACY_KEY", '{"conn_type": "generic", "password": "short"}')
    message = refused(tmp_path, privacy_conn_id="meta_privacy_key")
    assert message.startswith("The privacy key must have at least 32 characters")


def test_several_ids_may_be_given_with_commas() -> None:
    assert checked_person_ids(" 1, 2,1 ") == ("1", "2")
    assert checked_person_ids(["1", "2"]) == ("1", "2")


def test_an_erasure_of_nothing_is_a_receipt_of_nothing(tmp_path: Path) -> None:
    task = MetaErasePersonOperator(task_id="erase", person_ids=ANA, destination=str(tmp_path / "data"))
    receipt = Path(task.execute({}))
    assert ANA not in receipt.read_text()
    assert ANA in read_suppressed(LocalStorage(tmp_path / "data"))


def test_the_command_takes_somebody_off_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = LocalStorage(tmp_path)
    change_suppressed(root, lambda found: found.with_people([ANA, "2"], Scope.CONVERSATION))
    change_suppressed(root, lambda found: found.with_conversations(["t_1"], [ANA]))
    assert main([str(tmp_path), ANA, "3"]) == 0
    assert capsys.readouterr().out == "1 of 2 were on the list, and are no longer.\n"
    left = read_suppressed(root)
    assert [each in left for each in (ANA, "t_1", "2")] == [False, False, True]


def test_the_command_refuses_a_damaged_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "_suppressed.json").write_text("{}")
    assert main([str(tmp_path), ANA]) == 1
    assert "_suppressed.json in the destination is damaged" in capsys.readouterr().err


def test_the_command_names_a_missing_google_connection_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gs://bucket/meta", ANA, "--gcp-conn-id", "absent"]) == 1
    written = capsys.readouterr().err
    assert written.startswith(("Connection 'absent' does not exist", "Google's provider is not installed"))
    assert written.count("\n") == 1


def test_the_dag_waits_for_an_approval_before_it_erases() -> None:
    dag = meta_erasure_dag("erasure", destination="/data/meta", warehouse="duckdb:///data/meta.duckdb")
    assert {name: sorted(task.downstream_task_ids) for name, task in dag.task_dict.items()} == {
        "settings": ["erase", "preview"],
        "preview": ["approve"],
        "approve": ["erase"],
        "erase": [],
    }
