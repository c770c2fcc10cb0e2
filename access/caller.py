"""The caller of a request, and the key that the request carries."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from access import scopes
from access.scopes import Scopes
from web.errors import ApiError
from web.headers import Headers, values

OPERATOR: Final = "operator"
"""The owner of everything that `API_KEY`, or a local caller without a key, creates."""

AUTHORIZATION: Final = b"authorization"
API_KEY: Final = b"x-api-key"
BEARER: Final = b"bearer"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller. Sessions, runs and executions belong to its `owner`.

    `key` is None for `API_KEY` and for callers who need no key. `prefix` is the visible start of a key. `rate` and
    `budgets` are texts that `access.limits.rates` and `access.limits.budgets` parse; an empty rate means no limit.
    """

    owner: str
    scopes: Scopes
    key: UUID | None = None
    name: str = ""
    prefix: str = ""
    rate: str = ""
    max_runs: int | None = None
    budgets: tuple[str, ...] = ()

    @property
    def user_id(self) -> int | None:
        """The Django user of the key."""
        kind, _, number = self.owner.partition(":")
        return int(number) if kind == "user" else None

    @property
    def label(self) -> str:
        """The text that stands for the caller in log lines: the start of its key, or its name."""
        return self.prefix or self.name

    @property
    def reads(self) -> str | None:
        """The owner whose records the caller may read; None means all owners."""
        return self.owner if self is LOCAL or not self.scopes.may("audit") else None


LOCAL: Final = Caller(owner=OPERATOR, scopes=scopes.ALL, name="local")
"""A caller on the service's own machine, while no key exists."""

SERVICE_KEY: Final = Caller(owner=OPERATOR, scopes=scopes.ALL, name="API_KEY")
"""The caller that sends the setting `API_KEY`."""


def extract_key(headers: Headers, offered: Sequence[bytes] = ()) -> bytes:
    """Return the key of a request: from `Authorization: Bearer`, `X-API-Key`, or `offered`; empty if it has none.

    Raises `ApiError` for several keys (400), and for another authentication scheme (401).
    """
    found = list(offered)
    for value in values(headers, AUTHORIZATION):
        scheme, _, key = value.strip().partition(b" ")
        if scheme.lower() != BEARER:
            raise unauthorized("Unsupported authentication scheme: send Authorization: Bearer <key> or X-API-Key.")
        found.append(key.strip())
    found += [value.strip() for value in values(headers, API_KEY)]
    # With two keys it would depend on the order of checks which one counts: a proxy could add the second one.
    if len(found) > 1:
        raise ApiError(400, "two_keys", "Send exactly one key: in Authorization, in X-API-Key, or as the subprotocol.")
    return found[0] if found else b""


def unauthorized(error: str, code: str = "unauthorized") -> ApiError:
    return ApiError(401, code, error, headers={"WWW-Authenticate": "Bearer"})


def shows_key(headers: Headers) -> bool:
    """Return whether the request has a header that carries a key."""
    return bool(values(headers, AUTHORIZATION) or values(headers, API_KEY))


def require(caller: Caller, words: Sequence[str]) -> None:
    """Check that the caller has one of the scopes. Raises `ApiError` (403)."""
    if words and not any(map(caller.scopes.may, words)):
        raise ApiError(403, "scope", f"Missing scope: {' or '.join(words)}. Use a key that has it.")
