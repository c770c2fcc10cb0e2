"""The file of environment variables, `.env`, read as Docker Compose reads it, but with `$` as an ordinary character.

Source: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax.
"""

import codecs
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dotenv.parser import parse_stream

BYTE_ORDER_MARKS: Final[Mapping[bytes, str]] = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


class InvalidEnvFile(ValueError):
    """The file cannot be read. The message names the line, and never repeats its value."""


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file. Raises `InvalidEnvFile`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidEnvFile(f"it cannot be read ({error})") from None
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            raise InvalidEnvFile(f"it is in {encoding}; save it in UTF-8")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidEnvFile(f"line {line} is not in UTF-8; save the file in UTF-8") from None
    variables = {}
    for found in parse_stream(io.StringIO(text)):
        # A statement includes the empty lines before it.
        skipped = found.original.string[: len(found.original.string) - len(found.original.string.lstrip())]
        line = found.original.line + skipped.count("\n")
        if found.error or (found.key is not None and found.value is None):
            raise InvalidEnvFile(f"line {line} is not NAME=VALUE")
        if found.key is not None and found.value is not None:
            if "\0" in found.value:
                raise InvalidEnvFile(f"line {line} has a NUL character")
            variables[found.key] = found.value
    return variables
