"""Django's secret key: created once, in a file that only its owner can read."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def kept(path: Path) -> str:
    """Return the key in the file, or create one with mode 0600. Processes that start together agree on one key."""
    if not path.exists():
        _make(path)
    return path.read_text(encoding="ascii").strip()


def _make(path: Path) -> None:
    """Link a complete file into place, so that no process reads half a key."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", dir=path.parent, prefix=".secret_key-") as file:
        file.write(secrets.token_urlsafe(64))
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)
