"""The search for pytest's settings. By itself pytest would also search above the workspace, which it may not read.

Source: pytest's documentation, "Configuration file formats". The first of these files with the right section is used.
"""

from collections.abc import Sequence
from typing import Final

NONE: Final = "/dev/null"
FILES: Final = {
    "pytest.toml": "",
    ".pytest.toml": "",
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}
"""The names of the files, each with the section that it must have; with an empty one, any file counts."""


def candidates(cwd: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the possible files in order. Each has its path in the workspace, its path from `cwd`, and its section."""
    return [
        ("/".join((*cwd[: len(cwd) - up], name)), "../" * up + name, section)
        for up in range(len(cwd) + 1)
        for name, section in FILES.items()
    ]


def with_settings(argv: Sequence[str], path: str) -> tuple[str, ...]:
    """Return the argv of a pytest that reads its settings only from this path."""
    return (argv[0], "-c", path, *argv[1:])
