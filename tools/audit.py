"""Known vulnerabilities of pinned dependencies, by pip-audit. Dependencies that could not be checked are reported."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_SECONDS = 300


def main(requirements: str) -> int:
    """Prints a summary and one line per vulnerability. Returns 1 if there is one; 0 also if nothing was checked."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", requirements, "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        dependencies = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, LookupError):
        print(f"Vulnerabilities of {requirements}: NOT CHECKED, pip-audit could not reach an index.")
        return 0
    lines, found = summary(requirements, dependencies)
    print("\n".join(lines))
    return int(found)


def summary(requirements: str, dependencies: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """The lines to print for pip-audit's findings, and whether there is a vulnerability.

    pip-audit reports dependencies as "skipped" if the index does not know them. An index without vulnerability data
    knows none.
    """
    checked = [each for each in dependencies if "skip_reason" not in each]
    vulnerable = [(each, flaw) for each in checked for flaw in each.get("vulns", [])]
    lines = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for each, flaw in vulnerable
    ]
    skipped = len(dependencies) - len(checked)
    if not checked:
        return [f"Vulnerabilities of {requirements}: NOT CHECKED, the index has no data about any of them."], False
    summary_line = f"Vulnerabilities of {requirements}: {len(vulnerable)} in {len(checked)} dependencies"
    return [*lines, summary_line + (f", {skipped} NOT CHECKED." if skipped else ".")], bool(vulnerable)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
