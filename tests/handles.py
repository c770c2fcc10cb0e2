"""The open file handles of this process, for tests that nothing keeps one open."""

from contextlib import suppress
from pathlib import Path


def open_handles(kind: str = "") -> frozenset[tuple[str, str]]:
    """Return the number and the target of each open handle whose target begins with `kind`.

    Compare sets and not sizes: the garbage collector may close what earlier tests left open.
    """
    found = set()
    for handle in Path("/proc/self/fd").iterdir():
        # The handle of this listing is closed at its end.
        with suppress(FileNotFoundError):
            found.add((handle.name, str(handle.readlink())))
    return frozenset(handle for handle in found if handle[1].startswith(kind))
