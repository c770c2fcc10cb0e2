"""The authorization of an owner: asked for while a call waits, given in a browser, refreshed when it is used."""

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone

from spending.accounts import Payer
from storage.per_loop import PerLoop
from storage.reader import read
from storage.writer import writer
from tools.base import ToolError
from tools.mcp_client.servers import McpServer
from tools.mcp_oauth import store
from tools.mcp_oauth.guarded_http import OAuthFailed
from tools.mcp_oauth.store import Asked, Grant, Started
from tools.output.masking import MASK, mapped

logger = logging.getLogger(__name__)

SPARE_SECONDS: Final = 60
"""The time before its end at which a token is refreshed."""

REVOKED_WITHIN: Final = timedelta(days=1)
PAGES: Final = "/oauth"
TICKET_BYTES: Final = 32
HEADER: Final = "Authorization"
SCHEME: Final = "Bearer "

A = TypeVar("A")

_revoking: PerLoop[set[asyncio.Task[None]]] = PerLoop(set)
_refreshing: dict[tuple[str, str], asyncio.Lock] = {}


def _grant_for(server: McpServer, owner: str) -> Grant | None:
    grant = store.grant_of(server.name, owner)
    # An operator may give the name to a server at another URL, which must not get the tokens of the first.
    return grant if grant is not None and grant.client.is_for(server.url) else None


def redirect_uri() -> str:
    """Return the page to which authorization servers send browsers back."""
    return f"{settings.PUBLIC_URL}{PAGES}/callback"


async def authorization_link(
    server: McpServer, payer: Payer, execution_id: UUID | None, seconds: float, decides: bool
) -> str:
    """Return a link with which the owner authorizes the server; an empty text if they have.

    It is valid for so many seconds. If it `decides`, the authorization approves the execution.
    """
    if await read(_grant_for, server, payer.owner) is not None:
        return ""
    ticket = secrets.token_urlsafe(TICKET_BYTES)
    asked = Asked(
        server=server.name,
        owner=payer.owner,
        key=payer.key,
        execution_id=execution_id,
        expires=timezone.now() + timedelta(seconds=seconds),
    )
    await writer.write(partial(store.ask, ticket, asked, decides=decides))
    return f"{settings.PUBLIC_URL}{PAGES}/{ticket}"


async def begin(server: McpServer, ticket: str) -> tuple[str, str]:
    """Begin an authorization that a browser has opened. Return where to send it, and the secret that it must keep.

    Raises `OAuthFailed`.
    """
    # Imported on first use, because the SDK is optional and takes most of a second.
    from tools.mcp_oauth import grants  # noqa: PLC0415

    state, browser = secrets.token_urlsafe(TICKET_BYTES), secrets.token_urlsafe(TICKET_BYTES)
    verifier, challenge = grants.new_verifier()
    client = await grants.discover(server, redirect_uri())
    started = Started(client=client, verifier=verifier, redirect_uri=redirect_uri())
    await writer.write(partial(store.start, ticket, state, browser, started))
    return grants.authorization_url(client, started.redirect_uri, state, challenge), browser


async def taken(state: str, browser: str) -> tuple[Asked, Started] | None:
    """Return the authorization that a browser comes back from. It can be taken once."""
    return await writer.write(partial(store.take, state, browser)) if state and browser else None


async def finish(server: McpServer, asked: Asked, started: Started, code: str, issuer: str | None) -> None:
    """Exchange the code that a browser has brought back, and let the calls that wait continue. Raises `OAuthFailed`."""
    from tools.mcp_oauth import grants  # noqa: PLC0415 - as above

    client = started.client
    # Else a code of another authorization server could be sent to this one (RFC 9207).
    if (issuer is None and client.names_issuer) or (issuer is not None and issuer != client.issuer):
        raise OAuthFailed("The answer is from another authorization server.")
    tokens = await grants.exchange(server, client, code, started.verifier, started.redirect_uri)
    if not await writer.write(partial(store.granted, asked, Grant(client=client, tokens=tokens))):
        raise OAuthFailed("The authorization is not asked for any more: its time is over, or the key was revoked.")
    logger.info("mcp.authorized", extra={"server": server.name, "owner": asked.owner})


async def authorized(server: McpServer, owner: str) -> McpServer:
    """Return the server with the token of an owner among its headers. Raises `ToolError` (`denied`, `failed`)."""
    if not server.oauth:
        return server
    grant = await read(_grant_for, server, owner)
    if grant is not None and grant.tokens.expires < time.time() + SPARE_SECONDS:
        lock = _refreshing.setdefault((server.name, owner), asyncio.Lock())
        try:
            async with lock:
                grant = await _refreshed(server, owner)
        finally:
            if not lock.locked():
                _refreshing.pop((server.name, owner), None)
    if grant is None:
        what = f"The MCP server {server.name} needs your authorization. Call the tool again to get a link for it."
        raise ToolError(what, code="denied")
    headers = {**server.headers, HEADER: f"{SCHEME}{grant.tokens.access}"}
    return msgspec.structs.replace(server, headers=headers)


def without_token(server: McpServer, answer: A) -> A:
    """Return an answer of an authorized server without the owner's token, which the server may repeat."""
    token = server.headers.get(HEADER, "").removeprefix(SCHEME) if server.oauth else ""
    shown: A = mapped(answer, lambda text: text.replace(token, MASK)) if token else answer
    return shown


async def rejected(server: McpServer, owner: str) -> None:
    """Note that the server does not accept the owner's token any more: the next call gets a new one, or asks."""
    grant = await read(store.grant_of, server.name, owner)
    if grant is not None:
        late = msgspec.structs.replace(grant, tokens=msgspec.structs.replace(grant.tokens, expires=0.0))
        await writer.write(partial(store.replace, server.name, owner, grant, late))


def revoke_soon(servers: Sequence[McpServer]) -> None:
    """Revoke withdrawn tokens beside other work, unless that is under way: authorization servers may be slow."""
    tasks = _revoking.current()
    if not tasks:
        task = asyncio.create_task(revoke_withdrawn(servers))
        tasks.add(task)
        task.add_done_callback(_revoked)


async def close() -> None:
    """Stop the work of the running event loop. What it leaves is done at the next start."""
    for task in tuple(_revoking.known() or ()):
        task.cancel()
        await asyncio.wait([task])


def _revoked(task: "asyncio.Task[None]") -> None:
    _revoking.current().discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        # The next round tries again.
        logger.warning("mcp.not_revoked", extra={"reason": type(error).__name__})


async def revoke_withdrawn(servers: Sequence[McpServer]) -> None:
    """Revoke withdrawn tokens at their authorization servers, and remove them. Raises `StorageUnavailable`.

    One that cannot be revoked is tried again for a day.
    """
    rows = await read(store.withdrawn)
    if not rows:
        return
    from tools.mcp_oauth import grants  # noqa: PLC0415 - as above

    named, done = {server.name: server for server in servers}, list[int]()
    for row in rows:
        grant = store.grant_in(row)
        server = named.get(row.server)
        try:
            if server is not None and grant is not None:
                await grants.revoke(server, grant.client, grant.tokens)
        except OAuthFailed as error:
            logger.warning("mcp.not_revoked", extra={"server": row.server, "owner": row.owner, "reason": str(error)})
            if row.withdrawn is not None and timezone.now() - row.withdrawn < REVOKED_WITHIN:
                continue
        done.append(row.pk)
    await writer.write(partial(store.remove, done))


async def _refreshed(server: McpServer, owner: str) -> Grant | None:
    from tools.mcp_oauth import grants  # noqa: PLC0415 - as above

    # Another call may have refreshed it while this one waited.
    grant = await read(_grant_for, server, owner)
    if grant is None or grant.tokens.expires >= time.time() + SPARE_SECONDS:
        return grant
    try:
        tokens = await grants.refreshed(server, grant.client, grant.tokens)
    except OAuthFailed as error:
        raise ToolError(f"The authorization for {server.name} cannot be renewed now. {error}", code="failed") from None
    new = Grant(client=grant.client, tokens=tokens) if tokens else None
    # Another process may have used the refresh token first, which ends it. Then its grant is stored, and counts.
    return await writer.write(partial(store.replace, server.name, owner, grant, new))
