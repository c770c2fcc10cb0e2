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

from access import conf
from access.caller import LOCAL, SERVICE_KEY, Caller, extract_key, require, shows_key, unauthorized
from access.keys import lookup
from access.keys.key_format import NotAKey, parse
from access.keys.lookup import KeyRecord
from access.keys.lookup_thread import lookup_thread
from access.keys.revocation import RevocationWatcher
from access.limits.limiter import Limiter, too_many
from access.limits.rates import rate
from access.network import proxies
from access.security_log import security_log
from storage.per_loop import PerLoop
from storage.reader import read
from web.errors import ApiError

FAILURES: Final = rate("60/minute")
"""Of one address; whoever shows more keys that open nothing is told so, and leaves no more lines in the log."""

MAX_ADDRESSES: Final = 1_000
"""Whose failures are remembered."""

MISSING: Final = "Show a key: Authorization: Bearer <key>, or X-API-Key: <key>."

Headers = Sequence[tuple[bytes, bytes]]


class ClientInfo(msgspec.Struct, frozen=True):
    """Where a request or a socket comes from, and its headers."""

    peer: str
    headers: Headers

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "ClientInfo":
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


class Authenticator:
    """That of one event loop."""

    def __init__(self) -> None:
        self.revocations = RevocationWatcher()
        self._limiter = Limiter(conf.counted_in())
        self._failures = Limiter("", most=MAX_ADDRESSES)

    async def is_keyed(self) -> bool:
        """Whether callers show keys. Raises `StorageUnavailable` while that is not known."""
        if conf.api_key():
            return True
        await self.revocations.open()
        return bool(self.revocations.keyed)

    async def admit(self, client_info: ClientInfo, words: Sequence[str] = ()) -> Caller:
        """Whoever asks, who has one of the scopes, and asks not too often.

        Raises `ApiError` (400, 401, 403, 429) and `StorageUnavailable`.
        """
        caller = await self.identify(client_info)
        await self.check(caller, client_info, words)
        return caller

    async def identify(self, client_info: ClientInfo, offered: Sequence[bytes] = ()) -> Caller:
        """Whoever shows a key, in the headers or as `offered`; anybody, where there is no key at all.

        Raises `ApiError` (400, 401, 429) and `StorageUnavailable`.
        """
        if not await self.is_keyed():
            return LOCAL
        try:
            key = extract_key(client_info.headers, offered)
        except ApiError as refusal:
            raise await self._failed("key_refused.unreadable", refusal, client_info) from None
        if not key:
            raise unauthorized(MISSING)
        configured = conf.api_key()
        if configured and hmac.compare_digest(key, configured.encode()):
            return SERVICE_KEY
        return await self._known(key, client_info)

    async def again(self, caller: Caller, client_info: ClientInfo) -> Caller:
        """The caller, as the key that was shown before opens by now. Raises `ApiError` (401), `StorageUnavailable`."""
        if caller is LOCAL and await self.is_keyed():
            raise unauthorized(MISSING)
        if caller.key is None:
            return caller
        return await self._let_in(await read(lookup.by_id, caller.key), client_info)

    async def check(self, caller: Caller, client_info: ClientInfo, words: Sequence[str]) -> None:
        """Counts what the caller asks for. Raises `ApiError` (403, 429)."""
        if caller is not LOCAL:
            limit = caller.rate or conf.rate_per_key()
            await self._count(limit, "key", str(caller.key or caller.name), caller, client_info)
        await self._count(conf.rate(), "service", "", caller, client_info)
        try:
            require(caller, words)
        except ApiError:
            security_log.report("scope.missing", scope=" or ".join(words), **_told(caller, client_info))
            raise

    async def close(self) -> None:
        await self.revocations.close()
        await self._limiter.close()

    async def _known(self, key: bytes, client_info: ClientInfo) -> Caller:
        try:
            parsed = parse(key)
        except NotAKey as error:
            raise await self._failed("key_refused.malformed", unauthorized(str(error)), client_info) from None
        await self.revocations.open()
        known = await lookup_thread.find(parsed)
        if known is None or not hmac.compare_digest(known.sha256, parsed.sha256):
            refusal = unauthorized("There is no such key.")
            raise await self._failed("key_refused.unknown", refusal, client_info, prefix=parsed.prefix)
        return await self._let_in(known, client_info)

    async def _let_in(self, known: KeyRecord | None, client_info: ClientInfo) -> Caller:
        if known is None:
            raise await self._failed("key_refused.unknown", unauthorized("There is no such key."), client_info)
        refusal = known.shut(timezone.now())
        if refusal is not None:
            told = {"prefix": known.prefix, "key": str(known.caller.key)}
            raise await self._failed(f"key_refused.{refusal.code}", refusal, client_info, **told)
        self.revocations.use(known.caller.key)
        return known.caller

    async def _count(self, written: str, policy: str, name: str, caller: Caller, client_info: ClientInfo) -> None:
        if not written:
            return
        limit = rate(written)
        seconds = await self._limiter.take(limit, f"{policy}/{name}")
        if seconds is not None:
            security_log.report("rate.exceeded", policy=policy, **_told(caller, client_info))
            raise too_many(policy, limit, seconds)

    async def _failed(self, event: str, refusal: ApiError, client_info: ClientInfo, **fields: str) -> ApiError:
        """What the caller is told, once the failure is counted and logged."""
        client = client_info.client
        seconds = await self._failures.take(FAILURES, proxies.subscriber(client))
        if seconds is not None:
            return too_many("failures", FAILURES, seconds)
        security_log.report(event, client=client, **fields)
        return refusal


def _told(caller: Caller, client_info: ClientInfo) -> dict[str, str]:
    key: UUID | str = caller.key or caller.name
    return {"client": client_info.client, "key": str(key), "key_name": caller.name}


_authenticators = PerLoop(Authenticator)
current = _authenticators.current
"""The authenticator of the running event loop."""


async def close() -> None:
    """Ends the running event loop's authenticator, if it has one."""
    authenticator = _authenticators.known()
    if authenticator is not None:
        _authenticators.forget()
        await authenticator.close()
