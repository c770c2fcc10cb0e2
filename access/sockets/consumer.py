"""A WebSocket (RFC 6455) whose client shows a key: in a header, as a subprotocol, or in its first message."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]  # it ships no types

from access import authenticator
from access.authenticator import ClientInfo
from access.caller import LOCAL, Caller, unauthorized
from access.sockets.messages import Auth, InvalidMessage
from storage.writer import StorageUnavailable
from telemetry import metrics
from web.errors import ApiError
from web.storage_errors import storage_error

logger = logging.getLogger(__name__)

PROTOCOL: Final = "orchestrator"

# A page cannot set the headers of a WebSocket, so it sends its key as a subprotocol beside `orchestrator`.
BEARER: Final = "bearer."

AUTH_SECONDS: Final = 10.0
"""Seconds within which a socket must show its key."""

MAX_COMMANDS: Final = 32
"""Messages of one socket that are processed at the same time. The next one is not read before one is done."""

LAST_SECONDS: Final = 1.0
"""Seconds that a reader has to receive the reason before its socket is closed."""

# Close codes: 1013 is "Try Again Later" in IANA's registry, and 4000 to 4999 are for applications (RFC 6455, 7.4.2).
LATER: Final = 1013
UNAUTHORIZED: Final = 4401
DROPPED: Final = 4408


class KeyedConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # it ships no types
    """One socket, and its caller once that is known. A subclass parses and executes the messages.

    `parse` returns a message, or raises `InvalidMessage`. `refusal_of` returns the HTTP error of a failure, or None for
    a fault of the service itself. Messages of an `is_ordered` socket are executed one after another. Those of a type in
    `lasting` are executed to their end although the socket closes.
    """

    channel_layer_alias = None
    parse: "ClassVar[staticmethod[[str], Any]]"
    refusal_of: "ClassVar[staticmethod[[Exception], ApiError | None]]"
    is_ordered: ClassVar[bool] = False
    lasting: ClassVar[tuple[type, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.caller: Caller | None = None
        self._release: Callable[[], None] | None = None
        self._is_shut = False
        self._tasks: set[asyncio.Task[None]] = set()
        # Tasks that a closed socket does not cancel.
        self._kept: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def execute(self, command: Any, caller: Caller) -> None:
        """Execute a message other than `auth`, whose caller was counted and has the scope. Raise an exception."""

    @abstractmethod
    def scopes_of(self, command: Any) -> Sequence[str] | None:
        """Return the scopes that a message needs, one of them; None if it is part of one that was counted before."""

    def stop(self) -> None:
        """Stop everything that the socket does, because it closes. This may be called more than once."""

    async def connect(self) -> None:
        offered = self.scope.get("subprotocols", [])
        keys = [offer[len(BEARER) :].encode() for offer in offered if offer.startswith(BEARER)]
        self.client_info = ClientInfo.of(self.scope)
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        is_keyed = False
        if not keys and not self.client_info.shows_key:
            # Without the database the answer is unknown. Identifying the caller then fails, and closes the socket.
            with suppress(StorageUnavailable):
                is_keyed = await authenticator.current().is_keyed()
        if not is_keyed:
            await self._identify(keys)
            return

        async def close_without_key() -> None:
            await asyncio.sleep(AUTH_SECONDS)
            if self.caller is None:
                await self.shut(unauthorized(f"No key was sent within {AUTH_SECONDS:g} s."))

        self.spawn(close_without_key())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = self.parse(text_data or "")
        except InvalidMessage as invalid:
            if self.caller is None:
                await self.shut(unauthorized('The first message must be {"type": "auth", "key": "..."}.'))
            else:
                await self.refuse(invalid.refusal, invalid.ref)
        else:
            processing = self.spawn(self.guarded(partial(self._execute, message), message.ref))
            if isinstance(message, self.lasting):
                self._kept.add(processing)
                processing.add_done_callback(self._kept.discard)
            # The messages after this one need its key.
            if self.is_ordered or isinstance(message, Auth):
                await asyncio.wait([processing])
        while len(self._tasks) > MAX_COMMANDS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def disconnect(self, code: int) -> None:
        if self._release is not None:
            self._release()
        for task in self._tasks - self._kept:
            task.cancel()
        self.stop()

    async def guarded(self, work: Callable[[], Awaitable[None]], ref: str = "") -> None:
        """Do the work. A failure is sent as `refused`."""
        try:
            await work()
        except Exception as error:
            refusal = self.refusal_of(error)
            if refusal is None:
                logger.exception("socket.broken", exc_info=error)
                refusal = ApiError(500, "internal", "The service failed because of a fault. See the service's log.")
            await self.refuse(refusal, ref)

    async def _execute(self, message: Any) -> None:
        if isinstance(message, Auth):
            await self._identify([message.key.encode("utf-8", "surrogatepass")])
            return
        if self.caller is None:
            raise unauthorized('Send {"type": "auth", "key": "..."} first.')
        # The key may have been revoked or changed since the socket was opened.
        try:
            caller = await authenticator.current().again(self.caller, self.client_info)
        except ApiError as refusal:
            await self.shut(refusal)
            return
        scopes = self.scopes_of(message)
        if scopes is not None:
            await authenticator.current().check(caller, self.client_info, scopes)
        await self.execute(message, caller)

    async def _identify(self, keys: Sequence[bytes]) -> None:
        """Identify the caller by these keys or the request's headers, or close the socket."""
        try:
            if self.caller is not None and self.caller is not LOCAL:
                raise ApiError(400, "two_keys", "This socket already has a key. Open another socket for another key.")
            self.caller = await authenticator.current().identify(self.client_info, keys)
        except ApiError as refusal:
            await self.shut(refusal)
        except StorageUnavailable as error:
            await self.shut(storage_error(error), LATER)
        else:

            def shut_soon(refusal: ApiError) -> None:
                self.spawn(self.shut(refusal))

            self._release = authenticator.current().revocations.on_revoked(self.caller.key, shut_soon)
            # The server bounds messages more tightly until the caller is known.
            if allow := self.scope.get("state", {}).get("allow_long_messages"):
                allow()

    async def shut(self, refusal: ApiError, code: int = UNAUTHORIZED) -> None:
        """Send the reason, and close the socket. Only the first call counts."""
        if self._is_shut:
            return
        self._is_shut = True
        self.stop()
        # A reader that takes nothing must not keep the socket of a revoked key open.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.refuse(refusal, "")
        # The client may have left meanwhile, like in `send_text`.
        with suppress(OSError):
            await self.close(code)

    async def refuse(self, refusal: ApiError, ref: str, **fields: Any) -> None:
        metrics.refusals.add(refusal.code)
        body = msgspec.json.decode(refusal.body())
        await self.reply({**body, "type": "refused", "status": refusal.status, **fields}, ref)

    async def reply(self, fields: dict[str, Any], ref: str = "") -> None:
        await self.send_text(msgspec.json.encode({**fields, **({"ref": ref} if ref else {})}))

    async def send_text(self, message: bytes) -> None:
        # A server raises OSError after the client has left (ASGI, "WebSocket: Send"); `disconnect` comes next.
        with suppress(OSError):
            await self.send(text_data=message.decode())

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run the work until the socket closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
