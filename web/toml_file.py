"""Files of TOML that an operator writes. Every fault is one sentence with the file and the line.

InvalidFile          the file cannot be used
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import msgspec

MAX_BYTES: Final = 2**20
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
NAME_FORM: Final = "1 to 32 lower-case letters, digits, _ and -, and begin with a letter"
"""The form of names that are parts of names of tools."""

HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header field (RFC 9110, token)."""

VARIABLE: Final = "env:"
"""The beginning of a value that is the name of an environment variable."""

OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)
"""Headers that the service sets itself."""


def secret_parts(values: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets in values of header fields: each value, and without a scheme such as `Bearer`."""
    return tuple(part for value in values for part in {value, value.rpartition(" ")[2]})


class InvalidFile(ValueError):
    """The file cannot be used. The message is one sentence, and has no value of a secret."""


class TomlFile:
    """The tables of a file, and the lines of their fields. Raises `InvalidFile`.

    With a `content`, the path is only a name for messages.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self.path = path
        try:
            if content is None:
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

    def entries(self, table: str, noun: str, most: int) -> dict[str, Any]:
        """Return the tables below a table, by name: one for each `noun`, and no others. Raises `InvalidFile`."""
        for name, value in self.tables.items():
            if name != table or not isinstance(value, dict):
                what = f"there is no table {name[:40]!r}: write [{table}.NAME] for each {noun}"
                raise self.fault((), [name], what)
        found: dict[str, Any] = self.tables.get(table, {})
        if len(found) > most:
            raise self.fault((), [table], f"there are {len(found)} {table}; {most} at most are possible")
        for name in found:
            if not NAME.fullmatch(name):
                raise self.fault((table, name), (), f"the name {name[:40]!r} must be {NAME_FORM}")
        return found

    def misfit(self, table: Sequence[str], error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> InvalidFile:
        """Return the error about a table that does not fit a type, with the valid values."""
        # The message ends with the place: "... - at `$.headers[...]`".
        what, _, place = str(error).partition(" - at ")
        if unknown := re.search(r"unknown field `([^`]*)`", what):
            valid = ", ".join(kind.__struct_fields__)
            return self.fault(table, [unknown[1]], f"there is no field {unknown[1][:40]!r}; there are {valid}")
        field = (re.findall(r"[a-z_]+", place) or [""])[0]
        choices = [value for value in get_args(get_type_hints(kind).get(field)) if isinstance(value, str)]
        valid = f"; it is one of {', '.join(choices)}" if choices else ""
        return self.fault(table, [field], f"{field or 'it'}: {what[:1].lower()}{what[1:]}{valid}")

    def header_fields(
        self, table: Sequence[str], headers: Mapping[str, str], variable: Callable[[str], str], own_prefix: str = ""
    ) -> dict[str, str]:
        """Return the header fields of a table with their values. Raises `InvalidFile`, without a value.

        `variable` returns the value of an environment variable. No name may begin with `own_prefix`.
        """
        found: dict[str, str] = {}
        for name, text in headers.items():
            fields, lower = ["headers", name], name.lower()
            if not HEADER.fullmatch(name) or lower in OWN_HEADERS or (own_prefix and lower.startswith(own_prefix)):
                raise self.fault(table, fields, f"the header {name[:40]!r} cannot be set here")
            value = text
            if text.startswith(VARIABLE):
                named = text.removeprefix(VARIABLE).strip()
                value = variable(named)
                if not value:
                    raise self.fault(table, fields, f"the variable {named[:80]!r} of the header {name} is not set")
            if not value.isascii() or not value.isprintable():
                raise self.fault(table, fields, f"the header {name} has a character that an HTTP header cannot have")
            found[name] = value
        return found
