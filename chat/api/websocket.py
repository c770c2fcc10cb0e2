"""`/ws/chat`: conversations over a WebSocket (RFC 6455). The same bodies in, the same events out, and orders beside.

Each message is a JSON object with a `type`: `auth`, `chat`, `follow`, `cancel`, `resume`, `approve`, `deny`. What comes
back is each run's events, with the run's id as `run` and the event's number as `id`; `done` for an order that was
carried out, `refused` for what was not. A `ref` in a message comes back with its answer.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]  # it ships no types
from pydantic import Field, TypeAdapter, ValidationError

from access import authenticator
from access.authenticator import ClientInfo
from access.caller import LOCAL, Caller, unauthorized
from chat import service_registry
from chat.api import run_access
from chat.api.errors import REFUSALS, not_found, refusal_of
from chat.api.parsing import parse_request
from chat.api.schemas import ChatIn, Strict
from chat.runs.log.subscription import Subscription
from chat.runs.start.idempotency import AlreadyBegun
from chat.wire import sse
from storage.writer import StorageUnavailable
from telemetry import metrics
from tools.approvals.api import decide
from tools.schemas import DecisionIn
from web import strict_json
from web.errors import ApiError
from web.validation import invalid_fields

logger = logging.getLogger(__name__)

PROTOCOL: Final = "orchestrator"
BEARER: Final = "bearer."
"""How a page gives its key, which cannot set headers: as a subprotocol beside `orchestrator`."""

AUTH_SECONDS: Final = 10.0
MAX_RUNS: Final = 32
"""Runs that one socket follows at a time."""

MAX_ORDERS: Final = 32
"""Messages of one socket that are carried out at a time; the next one is not read before one of them is."""

LAST_SECONDS: Final = 1.0
"""How long a reader has to take the reason for which its socket is closed."""

LATER: Final = 1013
UNAUTHORIZED: Final = 4401
DROPPED: Final = 4408

SCOPES: Final = {
    **dict.fromkeys(("chat", "cancel", "resume"), ("chat",)),
    **dict.fromkeys(("approve", "deny"), ("approve",)),
    "follow": ("chat", "audit"),
}
"""Of each message, the scopes of which a caller needs one."""

Ref = Annotated[str, Field(max_length=128)]


class Auth(Strict):
    type: Literal["auth"]
    key: Annotated[str, Field(max_length=1_024)]
    ref: Ref = ""


class Chat(ChatIn):
    type: Literal["chat"]
    idempotency_key: str = ""
    ref: Ref = ""


class Follow(Strict):
    type: Literal["follow"]
    run_id: UUID
    after: Annotated[int, Field(ge=0, le=2**31)] = 0
    ref: Ref = ""


class OfRun(Strict):
    type: Literal["cancel", "resume"]
    run_id: UUID
    ref: Ref = ""


class Decide(DecisionIn):
    type: Literal["approve", "deny"]
    execution_id: UUID
    ref: Ref = ""


Wanted = Annotated[Auth | Chat | Follow | OfRun | Decide, Field(discriminator="type")]
_wanted: TypeAdapter[Wanted] = TypeAdapter(Wanted)


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # it ships no types
    """One socket. It follows its runs in tasks of their own; runs outlive it as they outlive any connection."""

    channel_layer_alias = None

    def __init__(self) -> None:
        super().__init__()
        self._caller: Caller | None = None
        self._release: Callable[[], None] | None = None
        self._is_shut = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        offered = self.scope.get("subprotocols", [])
        keys = [offer[len(BEARER) :].encode() for offer in offered if offer.startswith(BEARER)]
        self._client_info = ClientInfo.of(self.scope)
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        if keys or self._client_info.shows_key or not await self._needs_key():
            await self._enter(keys)
        else:
            self._spawn(self._expel(), self._tasks)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        ref = ""
        try:
            raw = strict_json.loads((text_data or "").encode("utf-8", "surrogatepass"))
            ref = str(raw.get("ref", ""))[:128] if isinstance(raw, dict) else ""
            wanted = _wanted.validate_python(raw)
        except strict_json.NotJson as error:
            await self._refuse(ApiError(400, "invalid_json", str(error)), ref)
        except ValidationError as error:
            await self._refuse(invalid_fields(error.errors()), ref)
        else:
            carrying_out = self._spawn(self._carry_out(wanted), self._tasks)
            if isinstance(wanted, Auth):  # what comes next is asked for with this key
                await asyncio.wait([carrying_out])
        while len(self._tasks) > MAX_ORDERS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def disconnect(self, code: int) -> None:
        if self._release is not None:
            self._release()
        for task in [*self._tasks, *self._following]:
            task.cancel()

    async def _carry_out(self, wanted: Any) -> None:
        try:
            if isinstance(wanted, Auth):
                await self._enter([wanted.key.encode("utf-8", "surrogatepass")])
            elif self._caller is None:
                raise unauthorized('Send {"type": "auth", "key": "..."} first.')
            elif (caller := await self._still(self._caller)) is not None:
                await authenticator.current().check(caller, self._client_info, SCOPES[wanted.type])
                await self._act(wanted, caller)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                logger.exception("socket.broken", exc_info=error)
                refusal = ApiError(500, "internal", "The service failed by a fault of its own; its log says more.")
            await self._refuse(refusal, wanted.ref)

    async def _still(self, caller: Caller) -> Caller | None:
        """The caller, as the key opens by now; None where it opens nothing any more, and the socket is closed."""
        try:
            return await authenticator.current().again(caller, self._client_info)
        except ApiError as refusal:
            await self._shut(refusal)
            return None

    async def _act(self, wanted: Any, caller: Caller) -> None:
        owner = caller.owner
        if isinstance(wanted, Decide):
            verdict: Literal["approved", "denied"] = "approved" if wanted.type == "approve" else "denied"
            given = {"params_sha256": wanted.params_sha256, "note": wanted.note}
            told = await decide(owner, wanted.execution_id, verdict, **given)
            await self._done(wanted, execution_id=str(told["id"]), decision=told["decision"])
        elif isinstance(wanted, OfRun) and wanted.type == "cancel":
            status = await service_registry.current().cancel(wanted.run_id, owner)
            if status is None:
                raise not_found("run")
            await self._done(wanted, run_id=str(wanted.run_id), status=status)
        elif isinstance(wanted, Follow):
            owner = await run_access.owner_of(wanted.run_id, caller)
            if not await service_registry.current().exists(wanted.run_id, owner):
                raise not_found("run")
            self._follow(wanted.run_id, owner, wanted.after)
        else:
            await self._begin(wanted, caller)

    async def _begin(self, wanted: Chat | OfRun, caller: Caller) -> None:
        """Starts or resumes a run, or finds the one that was begun before."""
        self._check_room()
        try:
            if isinstance(wanted, Chat):
                run = await service_registry.current().start(
                    await parse_request(caller, wanted, wanted.idempotency_key)
                )
            else:
                run = await service_registry.current().resume(wanted.run_id, caller)
            run_id = run.spec.run_id
        except AlreadyBegun as again:
            run_id = again.run_id
        if wanted.ref:
            await self._done(wanted, run_id=str(run_id))
        self._follow(run_id, caller.owner, 0)

    def _follow(self, run_id: UUID, owner: str, cursor: int) -> None:
        self._check_room()
        follower = service_registry.current().follow(run_id, owner, cursor)
        sending = self._spawn(self._send_events(run_id, follower), self._following)
        sending.add_done_callback(lambda _: follower.close())  # also where it was cancelled before it began

    def _check_room(self) -> None:
        if len(self._following) >= MAX_RUNS:
            raise ApiError(429, "too_many_runs", f"One socket follows {MAX_RUNS} runs at most: open another.")

    async def _send_events(self, run_id: UUID, follower: Subscription) -> None:
        head = b'"run":"%b",' % str(run_id).encode()
        try:
            async for frames in follower:
                for block in frames.split(sse.END_OF_FRAME):
                    if block.startswith(b"id: "):
                        number, _, data = block[4:].partition(b"\ndata: {")
                        await self._send(b'{"id":%b,' % number + head + data)
        finally:
            if follower.dropped:
                with suppress(Exception):
                    await self.close(DROPPED)

    async def _needs_key(self) -> bool:
        """False also where that is not known: then nobody comes in."""
        try:
            return await authenticator.current().is_keyed()
        except StorageUnavailable:
            return False

    async def _enter(self, keys: Sequence[bytes]) -> None:
        """Lets the caller in whose key this is, or closes."""
        try:
            if self._caller is not None and self._caller is not LOCAL:
                raise ApiError(400, "two_keys", "A key was shown before: open another socket for another key.")
            self._caller = await authenticator.current().identify(self._client_info, keys)
        except ApiError as refusal:
            await self._shut(refusal)
        except StorageUnavailable as error:
            await self._shut(REFUSALS[StorageUnavailable](error), LATER)
        else:
            self._release = authenticator.current().revocations.on_revoked(self._caller.key, self._shut_soon)

    def _shut_soon(self, refusal: ApiError) -> None:
        self._spawn(self._shut(refusal), self._tasks)

    async def _shut(self, refusal: ApiError, code: int = UNAUTHORIZED) -> None:
        """Says why, to a reader who takes it, and closes; once."""
        if self._is_shut:
            return
        self._is_shut = True
        for task in self._following:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._refuse(refusal, "")
        await self.close(code)

    async def _expel(self) -> None:
        """Closes a socket on which no key was shown in time."""
        await asyncio.sleep(AUTH_SECONDS)
        if self._caller is None:
            await self._shut(unauthorized(f"No key was shown within {AUTH_SECONDS:g} s."))

    async def _refuse(self, refusal: ApiError, ref: str) -> None:
        metrics.refusals.add(refusal.code)
        told = {**msgspec.json.decode(refusal.body()), "type": "refused", "status": refusal.status}
        await self._tell(told, ref)

    async def _done(self, wanted: Any, **fields: Any) -> None:
        await self._tell({"type": "done", "action": wanted.type, **fields}, wanted.ref)

    async def _tell(self, told: dict[str, Any], ref: str) -> None:
        await self._send(msgspec.json.encode({**told, **({"ref": ref} if ref else {})}))

    async def _send(self, message: bytes) -> None:
        """Nothing, where the reader has left: `disconnect` comes next, and ends what goes on here."""
        with suppress(OSError):  # what a server raises then, by the ASGI specification of websockets
            await self.send(text_data=message.decode())

    def _spawn(self, work: Any, tasks: "set[asyncio.Task[None]]") -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task
