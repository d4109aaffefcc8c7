"""Known vulnerabilities of pinned dependencies, as pip-audit knows them; says plainly what could not be asked."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_SECONDS = 300


def main(requirements: str) -> int:
    """Prints one line, or one for each vulnerability and then 1; 0 as well where nobody could be asked."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", requirements, "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        dependencies = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, LookupError):
        print(f"Vulnerabilities of {requirements}: NOT CHECKED, pip-audit could not ask anybody from here.")
        return 0
    lines, found = summary(requirements, dependencies)
    print("\n".join(lines))
    return int(found)


def summary(requirements: str, dependencies: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """What to print of pip-audit's findings, and whether there is a vulnerability.

    pip-audit calls what an index does not know "skipped", and an index without this knowledge knows nothing.
    """
    asked = [each for each in dependencies if "skip_reason" not in each]
    vulnerable = [(each, flaw) for each in asked for flaw in each.get("vulns", [])]
    lines = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for each, flaw in vulnerable
    ]
    skipped = len(dependencies) - len(asked)
    if not asked:
        return [f"Vulnerabilities of {requirements}: NOT CHECKED, the index here knows of none of them."], False
    told = f"Vulnerabilities of {requirements}: {len(vulnerable)} in {len(asked)} dependencies"
    return [*lines, told + (f", {skipped} NOT CHECKED." if skipped else ".")], bool(vulnerable)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
