"""The paths that a policy tests: as written, with links resolved, and what else a call reveals."""

from collections.abc import Iterable

from tools.workspace.confined import Workspace


def stated_paths(workspace: Workspace, paths: Iterable[str]) -> list[str]:
    """Return the canonical form of each path as it is written, and as it is without links."""
    # `./a/../b` and `b` are one path, and so are a link and its target: a rule must match every spelling.
    return sorted({workspace.named(path, follow=follow) for path in paths for follow in (False, True)})


def implied_paths(workspace: Workspace, paths: Iterable[str]) -> list[str]:
    """Return what else a call reveals: the content of a folder, and the names before each `..`."""
    found: set[str] = set()
    for path in paths:
        found.update(f"{name}/" for name in stated_paths(workspace, (path,)))
        names = path.split("/")
        # Whether such a name exists decides whether the path leads anywhere.
        passed = range(1, len(names)) if ".." in names else ()
        found.update(workspace.named("/".join(names[:count]) or "/") for count in passed)
    return sorted(found)
