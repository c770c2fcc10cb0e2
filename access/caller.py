"""Who asks, and with which key."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from access import scopes
from access.scopes import Scopes
from web.errors import ApiError
from web.headers import Headers, values

OPERATOR: Final = "operator"
"""The owner of what the service's own key, or a caller on its own machine, creates."""

AUTHORIZATION: Final = b"authorization"
API_KEY: Final = b"x-api-key"
BEARER: Final = b"bearer"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever a request comes from. Sessions, runs and executions belong to `owner`.

    `key` is None for the service's own key and for callers who need none. `rate` and `budgets` are texts that
    `access.limits.rates` and `access.limits.budgets` read; an empty rate is none.
    """

    owner: str
    scopes: Scopes
    key: UUID | None = None
    name: str = ""
    rate: str = ""
    max_runs: int | None = None
    budgets: tuple[str, ...] = ()

    @property
    def reads(self) -> str | None:
        """Whose things it may read: its owner's, or, as None, everybody's. Without any key all are the operator's."""
        return self.owner if self is LOCAL or not self.scopes.may("audit") else None


LOCAL: Final = Caller(owner=OPERATOR, scopes=scopes.ALL, name="local")
"""A caller on the service's own machine, where there is no key at all."""

SERVICE_KEY: Final = Caller(owner=OPERATOR, scopes=scopes.ALL, name="API_KEY")
"""Who shows the key that is the setting `API_KEY`."""


def extract_key(headers: Headers, offered: Sequence[bytes] = ()) -> bytes:
    """The one key that a request shows: in `Authorization: Bearer`, in `X-API-Key`, or as `offered`; or nothing.

    Raises `ApiError` for several (400), and for another way to show one (401).
    """
    found = list(offered)
    found += map(_bearer, values(headers, AUTHORIZATION))
    found += [value.strip() for value in values(headers, API_KEY)]
    if len(found) > 1:
        raise ApiError(400, "two_keys", "Show one key, once: in Authorization, in X-API-Key, or as the subprotocol.")
    return found[0] if found else b""


def unauthorized(error: str, code: str = "unauthorized") -> ApiError:
    return ApiError(401, code, error, headers={"WWW-Authenticate": "Bearer"})


def shows_key(headers: Headers) -> bool:
    """Whether there is anything where a key is shown."""
    return bool(values(headers, AUTHORIZATION) or values(headers, API_KEY))


def require(caller: Caller, words: Sequence[str]) -> None:
    """Raises `ApiError` (403) for a caller who has none of the scopes; no words ask for none."""
    if words and not any(map(caller.scopes.may, words)):
        raise ApiError(403, "scope", f"The key does not have the scope {' or '.join(words)}, which this needs.")


def _bearer(value: bytes) -> bytes:
    scheme, _, key = value.strip().partition(b" ")
    if scheme.lower() != BEARER:
        raise unauthorized("Show the key as Authorization: Bearer <key>, or as X-API-Key: <key>.")
    return key.strip()
