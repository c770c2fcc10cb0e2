"""`/ws/chat`: conversations over a WebSocket (RFC 6455), with the same bodies and events as over HTTP.

Each message is a JSON object with a `type`: `auth`, `chat`, `follow`, `cancel`, `resume`, `approve`, `deny` or
`result`. The service sends each run's events, with the run's id as `run` and the event's number as `id`. It replies
`done` or `refused` to a command. A `ref` in a message is returned with its reply.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]  # it ships no types

from access import authenticator
from access.authenticator import ClientInfo
from access.caller import LOCAL, Caller, unauthorized
from chat.api.errors import REFUSALS, refusal_of
from chat.api.sockets.commands import execute
from chat.api.sockets.messages import SCOPES, Auth, Chat, Command, InvalidMessage, Message, Resume, parse_message
from chat.api.sockets.runs import FollowedRuns
from storage.writer import StorageUnavailable
from telemetry import metrics
from web.errors import ApiError

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


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # it ships no types
    """One socket. Its runs outlive it, as they outlive any connection."""

    channel_layer_alias = None

    def __init__(self) -> None:
        super().__init__()
        self._caller: Caller | None = None
        self._release: Callable[[], None] | None = None
        self._is_shut = False
        self._tasks: set[asyncio.Task[None]] = set()
        # A run that is half begun would be lost with its task: it begins, and loses its only subscriber.
        self._starting: set[asyncio.Task[None]] = set()
        self._runs = FollowedRuns(self._send, partial(self.close, DROPPED))

    async def connect(self) -> None:
        offered = self.scope.get("subprotocols", [])
        keys = [offer[len(BEARER) :].encode() for offer in offered if offer.startswith(BEARER)]
        self._client_info = ClientInfo.of(self.scope)
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        is_keyed = False
        if not keys and not self._client_info.shows_key:
            # Without the database the answer is unknown. Identifying the caller then fails, and closes the socket.
            with suppress(StorageUnavailable):
                is_keyed = await authenticator.current().is_keyed()
        if is_keyed:
            self._spawn(self._close_without_key())
        else:
            await self._identify(keys)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = parse_message(text_data or "")
        except InvalidMessage as invalid:
            if self._caller is None:
                await self._shut(unauthorized('The first message must be {"type": "auth", "key": "..."}.'))
            else:
                await self._refuse(invalid.refusal, invalid.ref)
        else:
            processing = self._spawn(self._process(message))
            if isinstance(message, Chat | Resume):
                self._starting.add(processing)
                processing.add_done_callback(self._starting.discard)
            # The messages after this one need its key.
            if isinstance(message, Auth):
                await asyncio.wait([processing])
        while len(self._tasks) > MAX_COMMANDS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def disconnect(self, code: int) -> None:
        if self._release is not None:
            self._release()
        for task in self._tasks - self._starting:
            task.cancel()
        self._runs.stop()

    async def _process(self, message: Message) -> None:
        try:
            if isinstance(message, Auth):
                await self._identify([message.key.encode("utf-8", "surrogatepass")])
            elif self._caller is None:
                raise unauthorized('Send {"type": "auth", "key": "..."} first.')
            else:
                await self._execute(message, self._caller)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                logger.exception("socket.broken", exc_info=error)
                refusal = ApiError(500, "internal", "The service failed because of a fault. See the service's log.")
            await self._refuse(refusal, message.ref)

    async def _execute(self, command: Command, caller: Caller) -> None:
        # The key may have been revoked or changed since the socket was opened.
        try:
            caller = await authenticator.current().again(caller, self._client_info)
        except ApiError as refusal:
            await self._shut(refusal)
            return
        await authenticator.current().check(caller, self._client_info, SCOPES[command.type])
        if isinstance(command, Chat | Resume):
            self._runs.check_room()
        result = await execute(command, caller)
        if result.done is not None:
            await self._reply({"type": "done", "action": command.type, **result.done}, command.ref)
        if result.run_id is not None:
            self._runs.follow(result.run_id, result.owner, result.cursor, hides_reasoning=result.hides_reasoning)

    async def _identify(self, keys: Sequence[bytes]) -> None:
        """Identify the caller by these keys or the request's headers, or close the socket."""
        try:
            if self._caller is not None and self._caller is not LOCAL:
                raise ApiError(400, "two_keys", "This socket already has a key. Open another socket for another key.")
            self._caller = await authenticator.current().identify(self._client_info, keys)
        except ApiError as refusal:
            await self._shut(refusal)
        except StorageUnavailable as error:
            await self._shut(REFUSALS[StorageUnavailable](error), LATER)
        else:

            def shut_soon(refusal: ApiError) -> None:
                self._spawn(self._shut(refusal))

            self._release = authenticator.current().revocations.on_revoked(self._caller.key, shut_soon)
            # The server bounds messages more tightly until the caller is known.
            if allow := self.scope.get("state", {}).get("allow_long_messages"):
                allow()

    async def _close_without_key(self) -> None:
        await asyncio.sleep(AUTH_SECONDS)
        if self._caller is None:
            await self._shut(unauthorized(f"No key was sent within {AUTH_SECONDS:g} s."))

    async def _shut(self, refusal: ApiError, code: int = UNAUTHORIZED) -> None:
        """Send the reason, and close the socket. Only the first call counts."""
        if self._is_shut:
            return
        self._is_shut = True
        self._runs.stop()
        # A reader that takes nothing must not keep the socket of a revoked key open.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._refuse(refusal, "")
        # The client may have left meanwhile, like in `_send`.
        with suppress(OSError):
            await self.close(code)

    async def _refuse(self, refusal: ApiError, ref: str) -> None:
        metrics.refusals.add(refusal.code)
        await self._reply({**msgspec.json.decode(refusal.body()), "type": "refused", "status": refusal.status}, ref)

    async def _reply(self, fields: dict[str, Any], ref: str) -> None:
        await self._send(msgspec.json.encode({**fields, **({"ref": ref} if ref else {})}))

    async def _send(self, message: bytes) -> None:
        # A server raises OSError after the client has left (ASGI, "WebSocket: Send"); `disconnect` comes next.
        with suppress(OSError):
            await self.send(text_data=message.decode())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
