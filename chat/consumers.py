"""`/ws/chat`: conversations over a WebSocket (RFC 6455). The same bodies in, the same events out, and orders beside.

Each message is a JSON object with a `type`: `auth`, `chat`, `follow`, `cancel`, `resume`, `approve`, `deny`. What comes
back is each run's events, with the run's id as `run` and the event's number as `id`; `done` for an order that was
carried out, `refused` for what was not. A `ref` in a message comes back with its answer.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]  # it ships no types
from pydantic import Field, TypeAdapter, ValidationError

from access import conf as access_conf
from access.callers import authenticate
from access.refusal import Refusal
from chat import service
from chat.refusals import not_found, refusal_of
from chat.runs.follower import Follower
from chat.runs.store import AlreadyBegun
from chat.schemas import ChatIn, Strict
from chat.wire import sse, strict_json
from chat.wishes import wish
from tools.deciding import decide
from tools.schemas import DecisionIn

logger = logging.getLogger(__name__)

PROTOCOL: Final = "orchestrator"
BEARER: Final = "bearer."
"""How a page gives its key, which cannot set headers: as a subprotocol beside `orchestrator`."""

AUTH_SECONDS: Final = 10.0
MOST_RUNS: Final = 32
"""Runs that one socket follows at a time."""

UNAUTHORIZED: Final = 4401
DROPPED: Final = 4408

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
        self._owner: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        offered = self.scope.get("subprotocols", [])
        headers = {name: value.decode("latin-1") for name, value in self.scope["headers"]}
        keys = [offer[len(BEARER) :] for offer in offered if offer.startswith(BEARER)]
        shown = headers.get(b"authorization", "") or (f"Bearer {keys[0]}" if keys else "")
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        if shown or headers.get(b"x-api-key") or not access_conf.api_key():
            await self._enter(shown, headers.get(b"x-api-key", ""))
        else:
            self._spawn(self._expel(), self._tasks)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        ref = ""
        try:
            raw = strict_json.loads((text_data or "").encode("utf-8", "surrogatepass"))
            ref = str(raw.get("ref", ""))[:128] if isinstance(raw, dict) else ""
            wanted = _wanted.validate_python(raw)
        except strict_json.NotJson as error:
            await self._refuse(Refusal(400, "invalid_json", str(error)), ref)
        except ValidationError as error:
            await self._refuse(_invalid(error), ref)
        else:
            self._spawn(self._carry_out(wanted), self._tasks)

    async def disconnect(self, code: int) -> None:
        for task in [*self._tasks, *self._following]:
            task.cancel()

    async def _carry_out(self, wanted: Any) -> None:
        try:
            if isinstance(wanted, Auth):
                await self._enter(f"Bearer {wanted.key}", "")
            elif self._owner is None:
                raise Refusal(401, "unauthorized", 'Send {"type": "auth", "key": "..."} first.')
            else:
                await self._act(wanted, self._owner)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                logger.exception("socket.broken", exc_info=error)
                refusal = Refusal(500, "internal", "The service failed by a fault of its own; its log says more.")
            await self._refuse(refusal, wanted.ref)

    async def _act(self, wanted: Any, owner: str) -> None:
        if isinstance(wanted, Decide):
            verdict: Literal["approved", "denied"] = "approved" if wanted.type == "approve" else "denied"
            given = {"params_sha256": wanted.params_sha256, "note": wanted.note}
            told = await decide(owner, wanted.execution_id, verdict, **given)
            await self._done(wanted, execution_id=str(told["id"]), decision=told["decision"])
        elif isinstance(wanted, OfRun) and wanted.type == "cancel":
            status = await service.current().cancel(wanted.run_id, owner)
            if status is None:
                raise not_found("run")
            await self._done(wanted, run_id=str(wanted.run_id), status=status)
        elif isinstance(wanted, Follow):
            if not await service.current().exists(wanted.run_id, owner):
                raise not_found("run")
            self._follow(wanted.run_id, owner, wanted.after)
        else:
            await self._begin(wanted, owner)

    async def _begin(self, wanted: Chat | OfRun, owner: str) -> None:
        """Starts or resumes a run, or finds the one that was begun before."""
        self._check_room()
        try:
            if isinstance(wanted, Chat):
                run = await service.current().start(await wish(owner, wanted, wanted.idempotency_key))
            else:
                run = await service.current().resume(wanted.run_id, owner)
            run_id = run.launch.run_id
        except AlreadyBegun as again:
            run_id = again.run_id
        if wanted.ref:
            await self._done(wanted, run_id=str(run_id))
        self._follow(run_id, owner, 0)

    def _follow(self, run_id: UUID, owner: str, cursor: int) -> None:
        self._check_room()
        self._spawn(self._send_events(run_id, service.current().follow(run_id, owner, cursor)), self._following)

    def _check_room(self) -> None:
        if len(self._following) >= MOST_RUNS:
            raise Refusal(429, "too_many_runs", f"One socket follows {MOST_RUNS} runs at most: open another.")

    async def _send_events(self, run_id: UUID, follower: Follower) -> None:
        head = b'"run":"%b",' % str(run_id).encode()
        try:
            async for frames in follower:
                for block in frames.split(sse.END_OF_FRAME):
                    if block.startswith(b"id: "):
                        number, _, data = block[4:].partition(b"\ndata: {")
                        await self.send(text_data=(b'{"id":%b,' % number + head + data).decode())
        finally:
            follower.close()
            if follower.dropped:
                with suppress(Exception):
                    await self.close(DROPPED)

    async def _enter(self, authorization: str, api_key: str) -> None:
        """Lets the caller in whose key this is, or closes."""
        try:
            self._owner = authenticate(authorization, api_key, access_conf.api_key()).owner
        except Refusal as refusal:
            await self._refuse(refusal, "")
            await self.close(UNAUTHORIZED)

    async def _expel(self) -> None:
        """Closes a socket on which no key was shown in time."""
        await asyncio.sleep(AUTH_SECONDS)
        if self._owner is None:
            await self._refuse(Refusal(401, "unauthorized", f"No key was shown within {AUTH_SECONDS:g} s."), "")
            await self.close(UNAUTHORIZED)

    async def _refuse(self, refusal: Refusal, ref: str) -> None:
        told = {**msgspec.json.decode(refusal.body()), "type": "refused", "status": refusal.status}
        await self._tell(told, ref)

    async def _done(self, wanted: Any, **fields: Any) -> None:
        await self._tell({"type": "done", "action": wanted.type, **fields}, wanted.ref)

    async def _tell(self, told: dict[str, Any], ref: str) -> None:
        await self.send(text_data=msgspec.json.encode({**told, **({"ref": ref} if ref else {})}).decode())

    def _spawn(self, work: Any, tasks: "set[asyncio.Task[None]]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _invalid(error: ValidationError) -> Refusal:
    """Names each field with what it takes, and never repeats what was sent."""
    problems = [(".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
    detail = [{"field": field, "error": told} for field, told in problems]
    return Refusal(422, "invalid_field", "; ".join(f"{field}: {told}" for field, told in problems), detail=detail)
