"""The async client."""

import asyncio
import inspect
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast
from uuid import uuid4

import httpx

from orchestrator_client.connections import cut_of, options
from orchestrator_client.core import flows, questions, requests, values
from orchestrator_client.core.collector import Answer, Collector
from orchestrator_client.core.events import Event, Reconnecting
from orchestrator_client.core.questions import Handling, Options
from orchestrator_client.core.requests import Call
from orchestrator_client.core.service import FIRST_WAIT, Service
from orchestrator_client.core.steps import (
    Body,
    Cut,
    Emit,
    Fetch,
    Head,
    Invoke,
    Open,
    Receive,
    Step,
    Steps,
    Wait,
    advance,
)

Value = TypeVar("Value")


class Exchange:
    """Performs the steps of one flow, with at most one open response."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._response: httpx.Response | None = None
        self._pieces: AsyncGenerator[bytes] | None = None

    async def values(self, steps: Steps[None]) -> AsyncGenerator[Any]:
        """Yield the values that the flow emits."""
        result: Any = None
        cut: Cut | None = None
        try:
            while step := advance(steps, result, cut):
                result = cut = None
                if isinstance(step, Emit):
                    yield step.value
                    continue
                try:
                    result = await self._perform(step)
                except httpx.TransportError as error:
                    cut = cut_of(error)
        finally:
            steps.close()
            await self._close()

    async def _perform(self, step: Step) -> Any:
        match step:
            case Open(request=request):
                await self._close()
                self._response = await self._http.send(self._built(request), stream=True)
                self._pieces = cast("AsyncGenerator[bytes]", self._response.aiter_raw())
                return _head(self._response)
            case Receive():
                return b"" if self._pieces is None else await anext(self._pieces, b"")
            case Fetch(request=request):
                response = await self._http.send(self._built(request), stream=True)
                try:
                    body = Body()
                    async for piece in response.aiter_raw():
                        body.add(piece)
                    return _head(response), body.whole()
                finally:
                    await response.aclose()
            case Wait(seconds=seconds):
                await asyncio.sleep(seconds)
                return None
            case Invoke(function=function, argument=argument):
                if inspect.iscoroutinefunction(function):
                    return await function(argument)
                # A plain function may block, and the loop has other work.
                value = await asyncio.to_thread(function, argument)
                return await value if inspect.isawaitable(value) else value

    def _built(self, request: requests.Request) -> httpx.Request:
        return self._http.build_request(
            request.method,
            self._url + request.path,
            params=request.query,
            headers=request.headers,
            content=request.body,
        )

    async def _close(self) -> None:
        if self._pieces is not None:
            await self._pieces.aclose()
        if self._response is not None:
            await self._response.aclose()
        self._response = self._pieces = None


def _head(response: httpx.Response) -> Head:
    return Head(status=response.status_code, headers=response.headers)


class Connection:
    """The connections to one service."""

    def __init__(self, url: str, *, api_key: str = "", first_wait: float = FIRST_WAIT) -> None:
        self._service = Service.at(url, api_key, first_wait)
        self._http = httpx.AsyncClient(**options(self._service))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Runs that are followed continue as their `on_disconnect` says."""
        await self._http.aclose()

    def _values(self, steps: Steps[None]) -> AsyncGenerator[Any]:
        return Exchange(self._http, self._service.url).values(steps)

    async def _call(self, call: Call[Value]) -> Value:
        (value,) = [value async for value in self._values(flows.call(self._service, call))]
        return value  # type: ignore[no-any-return]  # the call has its type


class Resources(Connection):
    """The requests with one answer. Each raises `ApiError`, `ConnectionLost` and `ProtocolError`."""

    async def run(self, run_id: str) -> values.Run:
        """Return the state of a run, with its text so far."""
        return await self._call(requests.run(run_id))

    async def cancel(self, run_id: str) -> values.CancelledRun:
        """Stop a run. The text so far is kept."""
        return await self._call(requests.cancel(run_id))

    async def sessions(
        self, *, limit: int = 50, offset: int = 0, archived: bool = False, search: str = ""
    ) -> values.Page[values.Session]:
        """Return sessions, the most recently used first: the archived ones, or all others.

        With a `search`, only those with all of its words in one message, or in the title, the user and the metadata.
        """
        return await self._call(requests.sessions(limit, offset, archived=archived, search=search))

    async def messages(self, session_id: str, *, limit: int = 50, offset: int = 0) -> values.Page[values.Message]:
        """Return the messages of a session, the oldest first."""
        return await self._call(requests.messages(session_id, limit, offset))

    async def compact(self, session_id: str) -> values.Run:
        """Summarise the older messages of a session, and return the run that did it."""
        return await self._call(requests.compact(session_id))

    async def providers(self) -> values.Page[values.Provider]:
        """Return the providers of models."""
        return await self._call(requests.providers())

    async def tools(self) -> values.Page[values.Tool]:
        """Return the tools of the service that the key may run."""
        return await self._call(requests.tools())

    async def executions(
        self,
        *,
        status: str | None = None,
        session_id: str | None = None,
        run_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> values.Page[values.Execution]:
        """Return executions of tools, the newest first."""
        return await self._call(requests.executions(status, session_id, run_id, limit, offset))

    async def execution(self, execution_id: str) -> values.Execution:
        """Return one execution, with its whole params."""
        return await self._call(requests.execution(execution_id))

    async def approve(self, execution_id: str, params_sha256: str, *, note: str = "") -> values.Execution:
        """Approve an execution that waits, with the hash of the params that were shown."""
        return await self._call(requests.decide(execution_id, params_sha256, note, approved=True))

    async def deny(self, execution_id: str, params_sha256: str, *, note: str = "") -> values.Execution:
        """Deny an execution that waits. The model reads the note."""
        return await self._call(requests.decide(execution_id, params_sha256, note, approved=False))

    async def result(self, execution_id: str, data: Any = None, *, error: str | None = None) -> values.Execution:
        """Give the result of a client tool: `data`, or the `error` that it failed with."""
        return await self._call(requests.given_result(execution_id, data, error))

    async def list_files(
        self, path: str = "", *, recursive: bool = False, session_id: str | None = None
    ) -> values.FileList:
        """Return the entries of a folder in the workspace."""
        return await self._call(requests.list_files(path, session_id, recursive=recursive))

    async def read_file(self, path: str, *, session_id: str | None = None) -> bytes:
        """Return the content of a file in the workspace."""
        return await self._call(requests.read_file(path, session_id))

    async def write_file(
        self, path: str, data: bytes, *, only_new: bool = False, session_id: str | None = None
    ) -> values.WrittenFile:
        """Write a whole file in the workspace. With `only_new`, one that exists is an `ApiError` (412)."""
        return await self._call(requests.write_file(path, data, session_id, only_new=only_new))


class AsyncClient(Resources):
    """An async client of the service at `url`. `api_key` is sent if it is given.

    Streams yield events, and a `Reconnecting` before each new attempt after a cut.
    """

    def stream(self, message: str = "", **options: Unpack[Options]) -> AsyncGenerator[Event | Reconnecting]:
        """Start a run, and yield its events. Raise `ApiError`, `ConnectionLost` and `ProtocolError`."""
        opening = questions.opening(message, options, fresh_key=uuid4().hex)
        handlers = questions.handlers(options, may_await=True)
        return self._values(flows.follow(self._service, opening, handlers))

    async def ask(self, message: str = "", **options: Unpack[Options]) -> Answer:
        """Start a run, and return its answer at the end. Raise `RunFailed` too."""
        collector = Collector()
        async for item in self.stream(message, **options):
            collector.add(item)
        return collector.answer()

    def follow(self, run_id: str, after: int = 0, **handling: Unpack[Handling]) -> AsyncGenerator[Event | Reconnecting]:
        """Yield the events of a run behind the event number `after`."""
        opening, handlers = requests.follow(run_id, after), questions.handlers(handling, may_await=True)
        return self._values(flows.follow(self._service, opening, handlers, run_id=run_id, after=after))

    def resume(self, run_id: str, **handling: Unpack[Handling]) -> AsyncGenerator[Event | Reconnecting]:
        """Continue an interrupted run as a new one, and yield the events of that."""
        opening, handlers = requests.resume(run_id), questions.handlers(handling, may_await=True)
        return self._values(flows.follow(self._service, opening, handlers))
