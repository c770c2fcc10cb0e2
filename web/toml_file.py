"""Files of TOML that an operator writes. Every fault is one sentence with the file and the line.

InvalidFile          the file cannot be used
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

MAX_BYTES: Final = 2**20


class InvalidFile(ValueError):
    """The file cannot be used. The message is one sentence, and has no value of a secret."""


class TomlFile:
    """The tables of a file, and the lines of their fields. Raises `InvalidFile`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            text = content.decode("utf-8-sig")
            if len(content) > MAX_BYTES:
                raise InvalidFile(f"{path} is larger than {MAX_BYTES} bytes.")
            self.tables: dict[str, Any] = tomllib.loads(text)
        except OSError as error:
            raise InvalidFile(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise InvalidFile(f"{path} is not in UTF-8.") from None
        except tomllib.TOMLDecodeError as error:
            last = f"at line {max(1, len(text.splitlines()))}, the end"
            said = str(error).replace("at end of document", last)
            raise InvalidFile(f"{path} is not TOML: {said}.") from None
        self._lines = text.splitlines()

    def fault(self, table: Iterable[str], fields: Iterable[str], what: str) -> InvalidFile:
        """Return the error about fields of a table, with the line of the last one that can be found."""
        line, names = 0, list(table)
        header = r"\[+\s*" + r"\s*\.\s*".join(rf"[\"']?{re.escape(name)}\b" for name in names[:2])
        # A field may stand in a table of its own, in an inline table, or behind a dotted name.
        keys = [rf"(?:\[+.*\b|.*[{{,.]\s*)?[\"']?{re.escape(name)}\b" for name in [*names[2:], *fields] if name]
        for pattern in [header] * bool(names) + keys:
            places = range(line, len(self._lines))
            line = next((place for place in places if re.match(rf"\s*{pattern}", self._lines[place])), line)
        where = f"[{'.'.join(names)}]: " if names else ""
        return InvalidFile(f"{self.path}, line {line + 1}: {where}{what}.")
