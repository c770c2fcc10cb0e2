"""GitPython's runner of commands, which is the only part of GitPython that is used."""

import os
from collections.abc import Mapping

# GitPython runs `git version` when it is imported, outside any sandbox and with this process's environment. With these
# variables it tries to start a file that is not executable, and ignores that this fails.
WHILE_IMPORTING: Mapping[str, str] = {"GIT_PYTHON_GIT_EXECUTABLE": os.devnull, "GIT_PYTHON_REFRESH": "quiet"}

_before = {name: os.environ.get(name) for name in WHILE_IMPORTING}
os.environ.update(WHILE_IMPORTING)
try:
    from git.cmd import Git
    from git.exc import GitError
finally:
    for _name, _value in _before.items():
        if _value is None:
            del os.environ[_name]
        else:
            os.environ[_name] = _value

__all__ = ["Git", "GitError"]
