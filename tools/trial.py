"""Creates the secrets of the container trial, once, in a file that only its owner can read: ``make trial``."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

FILE = Path(__file__).parents[1] / ".env.trial"
RANDOM_BYTES = {
    "TRIAL_JWT_SECRET": 64,
    "TRIAL_API_SECRET_KEY": 32,
    "TRIAL_POSTGRES_PASSWORD": 24,
    "TRIAL_REDIS_PASSWORD": 24,
    "TRIAL_ADMIN_PASSWORD": 16,
    "TRIAL_OPERATOR_PASSWORD": 16,
    "TRIAL_VIEWER_PASSWORD": 16,
}


def new_secrets() -> dict[str, str]:
    """All names and values; hexadecimal, so that they need no quoting in a URL or a shell."""
    fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return {"TRIAL_FERNET_KEY": fernet_key} | {name: secrets.token_hex(size) for name, size in RANDOM_BYTES.items()}


def write_once(file: Path) -> bool:
    """Writes the file unless it exists: stored data is encrypted with its key. Returns whether it is new."""
    content = "".join(f"{name}={value}\n" for name, value in new_secrets().items())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(content)
    return True


if __name__ == "__main__":
    verb = "Created" if write_once(FILE) else "Using"
    sys.stdout.write(
        f"{verb} {FILE.name}, which has the passwords of admin, operator and viewer as TRIAL_…_PASSWORD.\n"
        "Starting; then open http://localhost:8080\n"
    )
