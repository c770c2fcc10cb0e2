"""Django's secret key: made once, and kept in a file that its owner alone can read."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def kept(path: Path) -> str:
    """The key in the file; a new one, mode 0600, where there is none. Processes that start together agree on one."""
    if not path.exists():
        _make(path)
    return path.read_text(encoding="ascii").strip()


def _make(path: Path) -> None:
    """A link to a whole file, so that nobody ever reads half a key."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", dir=path.parent, prefix=".secret_key-") as file:
        file.write(secrets.token_urlsafe(64))
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)
