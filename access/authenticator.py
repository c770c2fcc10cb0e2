"""Authentication of requests and socket messages: it identifies the caller, counts the request, checks the scopes.

The service's own key is compared first, and malformed keys are rejected without the database. Any other key is looked
up on every request, so a revoked key stops working at once in every process.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone

from access import conf
from access.caller import LOCAL, SERVICE_KEY, Caller, extract_key, require, shows_key, unauthorized
from access.keys import lookup
from access.keys.key_format import NotAKey, parse
from access.keys.lookup_thread import lookup_thread
from access.keys.revocation import RevocationWatcher
from access.limits.limiter import Limiter, too_many
from access.limits.rates import rate
from access.network import proxies
from access.network.host_check import Rules
from access.security_log import security_log
from storage.per_loop import PerLoop
from storage.reader import read
from storage.writer import StorageUnavailable
from web.errors import ApiError

FAILURES: Final = rate("60/minute")
"""Failed attempts allowed per address before 429; further ones are not logged."""

MAX_ADDRESSES: Final = 1_000
"""Addresses whose failures are remembered."""

MAX_LOGINS: Final = 2
"""Passwords that are checked at the same time: each takes a third of a second of a processor."""

MISSING: Final = "Authentication required: send Authorization: Bearer <key> or X-API-Key."

Headers = Sequence[tuple[bytes, bytes]]


class ClientInfo(msgspec.Struct, frozen=True):
    """The address that a request or socket comes from, and its headers."""

    peer: str
    headers: Headers

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "ClientInfo":
        """Read an ASGI connection scope."""
        client = scope.get("client")
        return cls(str(client[0]) if client else "", scope["headers"])

    @property
    def shows_key(self) -> bool:
        return shows_key(self.headers)

    @property
    def client(self) -> str:
        """The caller's address, behind trusted proxies too."""
        return proxies.client(self.peer, self.headers, conf.trusted_proxies())


class Authenticator:
    """Authenticates the callers of one event loop."""

    def __init__(self) -> None:
        self.revocations = RevocationWatcher()
        self._limiter = Limiter(conf.counted_in())
        self._failures = Limiter("", most=MAX_ADDRESSES)
        self._logins = Limiter(conf.counted_in(), most=MAX_ADDRESSES)
        self._hashing = asyncio.Semaphore(MAX_LOGINS)

    async def is_keyed(self) -> bool:
        """Return whether callers need a key. Raises `StorageUnavailable` while that is unknown."""
        if conf.api_key():
            return True
        await self.revocations.open()
        return bool(self.revocations.keyed)

    async def admit(self, client_info: ClientInfo, words: Sequence[str] = ()) -> Caller:
        """Identify the caller, count the request, and check that the caller has one of the scopes.

        Raises `ApiError` (400, 401, 403, 429) and `StorageUnavailable`.
        """
        caller = await self.identify(client_info)
        await self.check(caller, client_info, words)
        return caller

    async def identify(self, client_info: ClientInfo, offered: Sequence[bytes] = ()) -> Caller:
        """Return the caller whose key is in the headers or `offered`; the local caller if no key exists.

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
        # In constant time, so that the time of an answer reveals nothing of the key.
        if configured and hmac.compare_digest(key, configured.encode()):
            return SERVICE_KEY
        try:
            parsed = parse(key)
        except NotAKey as error:
            # The checksum fails without the database, so guessing costs the service nothing.
            raise await self._failed("key_refused.malformed", unauthorized(str(error)), client_info) from None
        await self.revocations.open()
        record = await lookup_thread.find(parsed)
        if record is None or not hmac.compare_digest(record.sha256, parsed.sha256):
            unknown = unauthorized("Unknown API key.")
            raise await self._failed("key_refused.unknown", unknown, client_info, prefix=parsed.prefix)
        return await self._accept(record, client_info)

    async def again(self, caller: Caller, client_info: ClientInfo) -> Caller:
        """Re-authenticate a caller on an open socket. Raises `ApiError` (401) and `StorageUnavailable`."""
        # The first key was created after the socket was opened.
        if caller is LOCAL and await self.is_keyed():
            raise unauthorized(MISSING)
        if caller.key is None:
            return caller
        return await self._accept(await read(lookup.by_id, caller.key), client_info)

    async def check(self, caller: Caller, client_info: ClientInfo, words: Sequence[str]) -> None:
        """Count a request and check the scopes. Raises `ApiError` (403, 429)."""
        if caller is not LOCAL:
            limit = caller.rate or conf.rate_per_key()
            await self._count(limit, "key", str(caller.key or caller.name), caller, client_info)
        await self._count(conf.rate(), "service", "", caller, client_info)
        try:
            require(caller, words)
        except ApiError:
            security_log.report("scope.missing", scope=" or ".join(words), **_fields(caller, client_info))
            raise

    @asynccontextmanager
    async def login(self, client_info: ClientInfo) -> AsyncIterator[None]:
        """Admit one attempt to log in to the console. Raises `ApiError` (429)."""
        limit = rate(conf.login_rate())
        seconds = await self._logins.take(limit, f"login/{proxies.subscriber(client_info.client)}")
        if seconds is not None:
            security_log.report("console_login.limited", client=client_info.client)
            raise too_many("login", limit, seconds)
        async with self._hashing:
            yield

    async def close(self) -> None:
        await self.revocations.close()
        await self._limiter.close()
        await self._logins.close()

    async def _accept(self, record: lookup.KeyRecord | None, client_info: ClientInfo) -> Caller:
        if record is None:
            raise await self._failed("key_refused.unknown", unauthorized("Unknown API key."), client_info)
        refusal = record.refusal(timezone.now())
        if refusal is not None:
            fields = {"prefix": record.prefix, "key": str(record.caller.key)}
            raise await self._failed(f"key_refused.{refusal.code}", refusal, client_info, **fields)
        # Only noted: a write for every request would cost more than the lookup.
        self.revocations.use(record.caller.key)
        return record.caller

    async def _count(self, written: str, policy: str, name: str, caller: Caller, client_info: ClientInfo) -> None:
        if not written:
            return
        limit = rate(written)
        seconds = await self._limiter.take(limit, f"{policy}/{name}")
        if seconds is not None:
            security_log.report("rate.exceeded", policy=policy, **_fields(caller, client_info))
            raise too_many(policy, limit, seconds)

    async def _failed(self, event: str, refusal: ApiError, client_info: ClientInfo, **fields: str) -> ApiError:
        """Count and log a failed attempt, and return the error to raise."""
        client = client_info.client
        # An IPv6 subscriber has a whole network, and could send each attempt from another address of it.
        seconds = await self._failures.take(FAILURES, proxies.subscriber(client))
        if seconds is not None:
            return too_many("failures", FAILURES, seconds)
        security_log.report(event, client=client, **fields)
        return refusal


def _fields(caller: Caller, client_info: ClientInfo) -> dict[str, str]:
    key: UUID | str = caller.key or caller.name
    return {"client": client_info.client, "key": str(key), "key_name": caller.name}


_authenticators = PerLoop(Authenticator)
current = _authenticators.current
"""Return the authenticator of the running event loop."""


async def rules() -> Rules:
    """Return the rules that a request must meet before it is read."""
    # While the database is away it is unknown whether keys exist. The stricter rules for keyless services apply then:
    # only callers on this machine are accepted.
    try:
        return conf.rules(keyed=await current().is_keyed())
    except StorageUnavailable:
        return conf.rules(keyed=False)


async def close() -> None:
    """Close the running event loop's authenticator, if it has one."""
    authenticator = _authenticators.known()
    if authenticator is not None:
        # Forgotten first: a request that arrives during the close gets an authenticator that is open.
        _authenticators.forget()
        await authenticator.close()
