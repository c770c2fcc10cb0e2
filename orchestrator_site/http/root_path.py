"""The path below which clients see the service: `ROOT_PATH`, or what a trusted proxy reports.

A proxy may pass the whole path on, or the part below the root path. Both are understood. In an ASGI scope, `root_path`
is the root path, and `path` begins with it.
"""

from access import conf as access_conf
from access.network import proxies
from orchestrator_site import conf
from orchestrator_site.http.asgi_types import Scope


def rooted(scope: Scope) -> Scope:
    """Return the scope with its root path."""
    root = scope.get("root_path") or conf.root_path()
    trusted, client = access_conf.trusted_proxies(), scope.get("client")
    if trusted and client and proxies.is_trusted(str(client[0]), trusted):
        root = proxies.prefix(scope["headers"]) or root
    if not root:
        return scope
    return {**scope, "root_path": root, "path": root + _below(root, scope["path"])}


def inner_path(scope: Scope) -> str:
    """Return the path below the root path, as the service's own URLs have it."""
    return _below(scope.get("root_path") or "", scope["path"])


def _below(root: str, path: str) -> str:
    return path[len(root) :] or "/" if path == root or path.startswith(f"{root}/") else path
