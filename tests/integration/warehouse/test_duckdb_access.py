"""Access rights of a DuckDB file and of the files that DuckDB creates beside it."""

import os
import stat
from pathlib import Path

import pytest

from airflow_provider_metaconv import access
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse


@pytest.fixture(params=[0o022, 0o000], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    assert request.param == os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: f"{stat.S_IMODE(path.lstat().st_mode):04o}" for path in folder.iterdir()}


@pytest.mark.parametrize(("setting", "folder", "file"), [("owner", "0700", "0600"), ("group", "2770", "0660")])
@pytest.mark.usefixtures("umask")
def test_the_access_setting_applies_to_the_file_and_its_wal(tmp_path, monkeypatch, setting, folder, file):
    monkeypatch.setenv(access.VARIABLE, setting)
    path = tmp_path / "new" / "meta.duckdb"
    with DuckDBWarehouse(path) as warehouse:
        assert warehouse._database is not None
        connection = warehouse._database.restricted_to([])
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
        inside = modes(path.parent)
    assert ({"new": folder}, {"meta.duckdb": file, "meta.duckdb.wal": file}) == (modes(tmp_path), inside)


def test_a_file_others_can_read_is_reported_but_not_its_folder(tmp_path, monkeypatch, caplog):
    tmp_path.chmod(0o755)
    path = tmp_path / "meta.duckdb"
    with DuckDBWarehouse(path):
        pass
    assert caplog.records == []
    path.chmod(0o644)
    monkeypatch.setattr(access, "already_reported", set())
    for _ in range(2):
        with DuckDBWarehouse(path):
            pass
    line = f"{path} is open to more than the owner (mode 644) and was not changed; to restrict it: chmod go-rwx {path}"
    assert [record.getMessage() for record in caplog.records] == [line]
