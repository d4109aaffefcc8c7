"""Dependencies that could not be checked are never reported as safe."""

from tools.audit import summary

SKIPPED = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1)"}
SAFE = {"name": "b", "version": "1", "vulns": []}
UNSAFE = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-0", "fix_versions": ["3"]}]}


def test_an_index_without_vulnerability_data_proves_nothing() -> None:
    assert summary("x", [SKIPPED]) == (
        ["Vulnerabilities of x: NOT CHECKED, the index has no data about any of them."],
        False,
    )


def test_a_vulnerability_is_reported_with_its_fix() -> None:
    lines, found = summary("x", [SKIPPED, SAFE, UNSAFE])
    assert found
    assert lines == ["c 2: PYSEC-0, fixed in 3", "Vulnerabilities of x: 1 in 2 dependencies, 1 NOT CHECKED."]


def test_a_clean_audit_reports_the_number_checked() -> None:
    assert summary("x", [SAFE]) == (["Vulnerabilities of x: 0 in 1 dependencies."], False)
