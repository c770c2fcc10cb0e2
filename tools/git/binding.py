"""GitPython's runner of commands, the one part of it that is used.

Its package tries `git version` when it is imported: outside of any sandbox, and with this process's environment. While
that happens the two variables that it reads name something that no system starts, and bid it to go on without.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

WHILE_IMPORTING: Mapping[str, str] = {"GIT_PYTHON_GIT_EXECUTABLE": os.devnull, "GIT_PYTHON_REFRESH": "quiet"}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The process's environment with the variables, and afterwards as it was."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _environment(WHILE_IMPORTING):
    from git.cmd import Git
    from git.exc import GitError

__all__ = ["Git", "GitError"]
