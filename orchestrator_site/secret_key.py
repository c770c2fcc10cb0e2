"""Django's secret key: created once, in a file that only its owner can read."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def kept(path: Path) -> str:
    """Return the key in the file, or create one with mode 0600. Processes that start together agree on one key."""
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", encoding="ascii", dir=path.parent, prefix=".secret_key-") as file:
            file.write(secrets.token_urlsafe(64))
            file.flush()
            # A complete file is linked into place, so no process reads half a key. A link, unlike a renaming, does not
            # replace the key of a process that was faster.
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text(encoding="ascii").strip()
