"""Where pytest's own settings are. It would look for them also above the workspace, where it may not read.

Source: pytest's documentation, "Configuration file formats": the first of these names that holds its section.
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
"""The section that makes a file pytest's; of some names any file is."""


def candidates(cwd: Sequence[str]) -> list[tuple[str, str, str]]:
    """Files of the workspace, the first before the next: each one's path there, from the folder, and its section."""
    return [
        ("/".join((*cwd[: len(cwd) - up], name)), "../" * up + name, section)
        for up in range(len(cwd) + 1)
        for name, section in FILES.items()
    ]


def with_settings(argv: Sequence[str], path: str) -> tuple[str, ...]:
    """The argv of a pytest that reads its settings from the path alone."""
    return (argv[0], "-c", path, *argv[1:])
