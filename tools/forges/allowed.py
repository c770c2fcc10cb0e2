"""The hosts and repositories that the git tools may reach over the network, and the tokens for them.

    github.com/acme/*, gitlab:git.example.org/team/*, github:ghe.example.org/*=https://ghe.example.org/api/v3

Each entry of GIT_REMOTES_ALLOWED has a host, a pattern of repositories, and for other hosts than github.com and
gitlab.com the kind of forge. What follows `=` is the base of its API, if that is not the usual one.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from access.network.host_check import is_loopback
from tools.base import ToolError
from tools.workspace.confinement.paths import shown

Kind = Literal["github", "gitlab", "git"]

KINDS: Final[Mapping[str, Kind]] = {"github": "github", "gitlab": "gitlab", "git": "git"}
KNOWN_HOSTS: Final[Mapping[str, Kind]] = {"github.com": "github", "gitlab.com": "gitlab"}
API_PATHS: Final[Mapping[Kind, str]] = {"github": "/api/v3", "gitlab": "/api/v4", "git": ""}
GITHUB_API: Final = "https://api.github.com"
MAX_URL: Final = 400
AUTHORITY: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
PATTERN: Final = re.compile(r"[\w.*?/-]+", re.ASCII)
NAME: Final = r"(?!\.{1,2}(?:/|$))[\w.-]+"
REPOSITORY: Final = re.compile(rf"{NAME}(?:/{NAME})+", re.ASCII)
SSH: Final = re.compile(r"(?:ssh://)?git@([\w.-]+)(?::[0-9]+/|[:/])(.+)", re.ASCII)
TOKEN: Final = re.compile(r"[!-~]+")


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the list. `origin` is such as `https://github.com`, `host` its host and port."""

    kind: Kind
    origin: str
    host: str
    pattern: str
    api: str


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that an entry of the list allows."""

    remote: Remote
    path: str

    @property
    def url(self) -> str:
        """The URL of the repository, which is made of the entry and the path."""
        return f"{self.remote.origin}/{self.path}.git"

    @property
    def page(self) -> str:
        return f"{self.remote.origin}/{self.path}"


class AllowedRemotes:
    """The list, and the token of each host. A representation of it shows no token."""

    def __init__(self, remotes: tuple[Remote, ...] = (), tokens: Mapping[str, str] | None = None) -> None:
        self._remotes = remotes
        self._tokens = dict(tokens or {})

    def __bool__(self) -> bool:
        return bool(self._remotes)

    def token(self, target: Target) -> str:
        """Return the token of the target's host, or an empty text."""
        return self._tokens.get(target.remote.host, "")

    def publishable(self, url: str) -> Target:
        """Return the repository of a URL to which a branch may be offered. Raises `ToolError`."""
        target = self.target(url, ssh=True)
        host = target.remote.host
        if target.remote.kind == "git":
            raise ToolError(f"{host} is listed for cloning only: its entry begins with git:.", code="not_allowed")
        if not self.token(target):
            raise ToolError(
                f"The service has no token for {host}: the operator sets it in GIT_TOKENS.", code="not_allowed"
            )
        return target

    def target(self, url: str, *, ssh: bool = False) -> Target:
        """Return the repository of a URL; with `ssh`, also of the forms of ssh. Raises `ToolError`."""
        scheme, host, path = _split(url, ssh=ssh)
        if len(url) > MAX_URL or not host or not REPOSITORY.fullmatch(path):
            # A URL may have a password, and an error is stored.
            plain = re.sub(r"//[^/]*@", "//", url)
            raise ToolError(
                f"{shown(plain)} is not the URL of a repository: give one such as "
                "'https://github.com/owner/name', without user and password.",
                code="invalid_params",
            )
        for remote in self._remotes:
            # Forges do not distinguish cases in names.
            if remote.host == host and fnmatchcase(path.lower(), remote.pattern.lower()):
                if scheme not in {"ssh", remote.origin.partition(":")[0]}:
                    continue
                return Target(remote=remote, path=path)
        raise ToolError(
            f"GIT_REMOTES_ALLOWED does not allow {host}/{path}. It allows "
            f"{', '.join(f'{remote.host}/{remote.pattern}' for remote in self._remotes) or 'none'}.",
            code="not_allowed",
        )


def _split(url: str, *, ssh: bool) -> tuple[str, str, str]:
    """Return scheme, host and path of a URL; empty texts if it is malformed."""
    found = SSH.fullmatch(url) if ssh else None
    if found:
        return "ssh", found[1].lower(), _repository(found[2])
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", "", ""
    plain = not (parts.query or parts.fragment or parts.username is not None or parts.password is not None)
    if parts.scheme not in {"http", "https"} or not plain or not url.isascii() or not url.isprintable():
        return "", "", ""
    is_default = port is None or (parts.scheme, port) in {("https", 443), ("http", 80)}
    name = (parts.hostname or "").lower()
    host = f"[{name}]" if ":" in name else name
    return parts.scheme, host if is_default else f"{host}:{port}", _repository(parts.path)


def _repository(path: str) -> str:
    return path.strip("/").removesuffix(".git")


def remotes(text: str) -> tuple[Remote, ...]:
    """Parse GIT_REMOTES_ALLOWED. Raises `ValueError`."""
    return tuple(_remote(entry.strip()) for entry in text.split(",") if entry.strip())


def _remote(entry: str) -> Remote:
    place, _, api = entry.partition("=")
    kind, colon, rest = place.partition(":")
    named = KINDS.get(kind) if colon else None
    place = rest if named else place
    scheme, separator, rest = place.partition("://")
    scheme, place = (scheme, rest) if separator else ("https", place)
    host, _, pattern = place.partition("/")
    host = host.lower()
    if not AUTHORITY.fullmatch(host) or not PATTERN.fullmatch(pattern):
        raise ValueError(
            f"an entry is a host, / and a pattern of repositories, such as github.com/acme/*, unlike {entry!r}"
        )
    if not _is_safe(scheme, host):
        raise ValueError(f"only https is used, except on this machine, unlike {entry!r}")
    found = named or KNOWN_HOSTS.get(host)
    if found is None:
        raise ValueError(f"put github:, gitlab: or git: before another host than github.com and gitlab.com: {entry!r}")
    usual = GITHUB_API if host == "github.com" else f"{scheme}://{host}{API_PATHS[found]}"
    parts = urlsplit(api or usual)
    if not _is_safe(parts.scheme, parts.netloc) or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"the base of an API is a URL with https, such as https://{host}/api, unlike {entry!r}")
    return Remote(kind=found, origin=f"{scheme}://{host}", host=host, pattern=pattern, api=(api or usual).rstrip("/"))


def _is_safe(scheme: str, host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    return bool(name) and (scheme == "https" or (scheme == "http" and is_loopback(name)))


def tokens(text: str) -> Mapping[str, str]:
    """Parse GIT_TOKENS: a host, = and a token, separated by commas or lines. Raises `ValueError` without a token."""
    found = {}
    for entry in re.split(r"[,\s]+", text.strip()) if text.strip() else ():
        host, _, token = entry.partition("=")
        if not AUTHORITY.fullmatch(host.lower()) or not TOKEN.fullmatch(token):
            raise ValueError("an entry is a host, = and its token, separated by commas")
        found[host.lower()] = token
    return found
