"""The way in, the same for a request and for a socket's message: who asks, how often, and whether they may.

The service's own key is compared first, then what is no key is turned away, and only then the database is asked, every
time: a key that was revoked opens nothing from that moment on, in any process.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone

from access import conf, lookup, proxies
from access.callers import LOCAL, SERVICE_KEY, Caller, require, shown, shows_key, unauthorized
from access.clerk import clerk
from access.incidents import incidents
from access.keys import NotAKey, parse
from access.limiting import Limiter, too_many
from access.lookup import Known
from access.rates import rate
from access.refusal import Refusal
from access.watch import Watch
from storage.loops import OfLoop
from storage.reader import read

FAILURES: Final = rate("60/minute")
"""Of one address; whoever shows more keys that open nothing is told so, and leaves no more lines in the log."""

MOST_ADDRESSES: Final = 1_000
"""Whose failures are remembered."""

MISSING: Final = "Show a key: Authorization: Bearer <key>, or X-API-Key: <key>."

Headers = Sequence[tuple[bytes, bytes]]


class Visit(msgspec.Struct, frozen=True):
    """Where a request or a socket comes from, and its headers."""

    peer: str
    headers: Headers

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "Visit":
        """Reads an ASGI connection scope."""
        client = scope.get("client")
        return cls(str(client[0]) if client else "", scope["headers"])

    @property
    def shows_key(self) -> bool:
        return shows_key(self.headers)

    @property
    def client(self) -> str:
        """The caller's address."""
        return proxies.client(self.peer, self.headers, conf.trusted_proxies())


class Door:
    """That of one event loop."""

    def __init__(self) -> None:
        self.watch = Watch()
        self._limiter = Limiter(conf.counted_in())
        self._failures = Limiter("", most=MOST_ADDRESSES)

    async def is_keyed(self) -> bool:
        """Whether callers show keys. Raises `StorageUnavailable` while that is not known."""
        if conf.api_key():
            return True
        await self.watch.open()
        return bool(self.watch.keyed)

    async def admit(self, visit: Visit, words: Sequence[str] = ()) -> Caller:
        """Whoever asks, who has one of the scopes, and asks not too often.

        Raises `Refusal` (400, 401, 403, 429) and `StorageUnavailable`.
        """
        caller = await self.identify(visit)
        await self.check(caller, visit, words)
        return caller

    async def identify(self, visit: Visit, offered: Sequence[bytes] = ()) -> Caller:
        """Whoever shows a key, in the headers or as `offered`; anybody, where there is no key at all.

        Raises `Refusal` (400, 401, 429) and `StorageUnavailable`.
        """
        if not await self.is_keyed():
            return LOCAL
        try:
            key = shown(visit.headers, offered)
        except Refusal as refusal:
            raise await self._failed("key_refused.unreadable", refusal, visit) from None
        if not key:
            raise unauthorized(MISSING)
        configured = conf.api_key()
        if configured and hmac.compare_digest(key, configured.encode()):
            return SERVICE_KEY
        return await self._known(key, visit)

    async def again(self, caller: Caller, visit: Visit) -> Caller:
        """The caller, as the key that was shown before opens by now. Raises `Refusal` (401), `StorageUnavailable`."""
        if caller is LOCAL and await self.is_keyed():
            raise unauthorized(MISSING)
        if caller.key is None:
            return caller
        return await self._let_in(await read(lookup.by_id, caller.key), visit)

    async def check(self, caller: Caller, visit: Visit, words: Sequence[str]) -> None:
        """Counts what the caller asks for. Raises `Refusal` (403, 429)."""
        if caller is not LOCAL:
            await self._count(caller.rate or conf.rate_per_key(), "key", str(caller.key or caller.name), caller, visit)
        await self._count(conf.rate(), "service", "", caller, visit)
        try:
            require(caller, words)
        except Refusal:
            incidents.report("scope.missing", scope=" or ".join(words), **_told(caller, visit))
            raise

    async def close(self) -> None:
        await self.watch.close()
        await self._limiter.close()

    async def _known(self, key: bytes, visit: Visit) -> Caller:
        try:
            parsed = parse(key)
        except NotAKey as error:
            raise await self._failed("key_refused.malformed", unauthorized(str(error)), visit) from None
        await self.watch.open()
        known = await clerk.find(parsed)
        if known is None or not hmac.compare_digest(known.sha256, parsed.sha256):
            refusal = unauthorized("There is no such key.")
            raise await self._failed("key_refused.unknown", refusal, visit, prefix=parsed.prefix)
        return await self._let_in(known, visit)

    async def _let_in(self, known: Known | None, visit: Visit) -> Caller:
        if known is None:
            raise await self._failed("key_refused.unknown", unauthorized("There is no such key."), visit)
        refusal = known.shut(timezone.now())
        if refusal is not None:
            told = {"prefix": known.prefix, "key": str(known.caller.key)}
            raise await self._failed(f"key_refused.{refusal.code}", refusal, visit, **told)
        self.watch.use(known.caller.key)
        return known.caller

    async def _count(self, written: str, policy: str, name: str, caller: Caller, visit: Visit) -> None:
        if not written:
            return
        limit = rate(written)
        seconds = await self._limiter.take(limit, f"{policy}/{name}")
        if seconds is not None:
            incidents.report("rate.exceeded", policy=policy, **_told(caller, visit))
            raise too_many(policy, limit, seconds)

    async def _failed(self, event: str, refusal: Refusal, visit: Visit, **fields: str) -> Refusal:
        """What the caller is told, once the failure is counted and logged."""
        client = visit.client
        seconds = await self._failures.take(FAILURES, proxies.subscriber(client))
        if seconds is not None:
            return too_many("failures", FAILURES, seconds)
        incidents.report(event, client=client, **fields)
        return refusal


def _told(caller: Caller, visit: Visit) -> dict[str, str]:
    key: UUID | str = caller.key or caller.name
    return {"client": visit.client, "key": str(key), "key_name": caller.name}


_doors = OfLoop(Door)
current = _doors.current
"""The door of the running event loop."""


async def close() -> None:
    """Ends the running event loop's door, if it has one."""
    door = _doors.known()
    if door is not None:
        _doors.forget()
        await door.close()
