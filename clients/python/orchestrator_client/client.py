"""The sync client."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack
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

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def values(self, steps: Steps[None]) -> Iterator[Any]:
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
                    result = self._perform(step)
                except httpx.TransportError as error:
                    cut = cut_of(error)
        finally:
            steps.close()
            self._close()

    def _perform(self, step: Step) -> Any:
        match step:
            case Open(request=request):
                self._close()
                self._response = self._http.send(self._built(request), stream=True)
                self._pieces = self._response.iter_raw()
                return _head(self._response)
            case Receive():
                return next(self._pieces, b"")
            case Fetch(request=request):
                response = self._http.send(self._built(request), stream=True)
                try:
                    body = Body()
                    for piece in response.iter_raw():
                        body.add(piece)
                    return _head(response), body.whole()
                finally:
                    response.close()
            case Wait(seconds=seconds):
                time.sleep(seconds)
                return None
            case Invoke(function=function, argument=argument):
                return function(argument)

    def _built(self, request: requests.Request) -> httpx.Request:
        return self._http.build_request(
            request.method,
            self._url + request.path,
            params=request.query,
            headers=request.headers,
            content=request.body,
        )

    def _close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def _head(response: httpx.Response) -> Head:
    return Head(status=response.status_code, headers=response.headers)


class Connection:
    """The connections to one service."""

    def __init__(self, url: str, *, api_key: str = "", first_wait: float = FIRST_WAIT) -> None:
        self._service = Service.at(url, api_key, first_wait)
        self._http = httpx.Client(**options(self._service))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Runs that are followed continue as their `on_disconnect` says."""
        self._http.close()

    def _values(self, steps: Steps[None]) -> Iterator[Any]:
        return Exchange(self._http, self._service.url).values(steps)

    def _call(self, call: Call[Value]) -> Value:
        (value,) = self._values(flows.call(self._service, call))
        return value  # type: ignore[no-any-return]  # the call has its type


class Resources(Connection):
    """The requests with one answer. Each raises `ApiError`, `ConnectionLost` and `ProtocolError`."""

    def run(self, run_id: str) -> values.Run:
        """Return the state of a run, with its text so far."""
        return self._call(requests.run(run_id))

    def cancel(self, run_id: str) -> values.CancelledRun:
        """Stop a run. The text so far is kept."""
        return self._call(requests.cancel(run_id))

    def sessions(
        self, *, limit: int = 50, offset: int = 0, archived: bool = False, search: str = ""
    ) -> values.Page[values.Session]:
        """Return sessions, the most recently used first: the archived ones, or all others.

        With a `search`, only those with all of its words in one message, or in the title, the user and the metadata.
        """
        return self._call(requests.sessions(limit, offset, archived=archived, search=search))

    def messages(self, session_id: str, *, limit: int = 50, offset: int = 0) -> values.Page[values.Message]:
        """Return the messages of a session, the oldest first."""
        return self._call(requests.messages(session_id, limit, offset))

    def compact(self, session_id: str) -> values.Run:
        """Summarise the older messages of a session, and return the run that did it."""
        return self._call(requests.compact(session_id))

    def providers(self) -> values.Page[values.Provider]:
        """Return the providers of models."""
        return self._call(requests.providers())

    def tools(self) -> values.Page[values.Tool]:
        """Return the tools of the service that the key may run."""
        return self._call(requests.tools())

    def executions(
        self,
        *,
        status: str | None = None,
        session_id: str | None = None,
        run_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> values.Page[values.Execution]:
        """Return executions of tools, the newest first."""
        return self._call(requests.executions(status, session_id, run_id, limit, offset))

    def execution(self, execution_id: str) -> values.Execution:
        """Return one execution, with its whole params."""
        return self._call(requests.execution(execution_id))

    def approve(self, execution_id: str, params_sha256: str, *, note: str = "") -> values.Execution:
        """Approve an execution that waits, with the hash of the params that were shown."""
        return self._call(requests.decide(execution_id, params_sha256, note, approved=True))

    def deny(self, execution_id: str, params_sha256: str, *, note: str = "") -> values.Execution:
        """Deny an execution that waits. The model reads the note."""
        return self._call(requests.decide(execution_id, params_sha256, note, approved=False))

    def result(self, execution_id: str, data: Any = None, *, error: str | None = None) -> values.Execution:
        """Give the result of a client tool: `data`, or the `error` that it failed with."""
        return self._call(requests.given_result(execution_id, data, error))

    def list_files(self, path: str = "", *, recursive: bool = False, session_id: str | None = None) -> values.FileList:
        """Return the entries of a folder in the workspace."""
        return self._call(requests.list_files(path, session_id, recursive=recursive))

    def read_file(self, path: str, *, session_id: str | None = None) -> bytes:
        """Return the content of a file in the workspace."""
        return self._call(requests.read_file(path, session_id))

    def write_file(
        self, path: str, data: bytes, *, only_new: bool = False, session_id: str | None = None
    ) -> values.WrittenFile:
        """Write a whole file in the workspace. With `only_new`, one that exists is an `ApiError` (412)."""
        return self._call(requests.write_file(path, data, session_id, only_new=only_new))


class Client(Resources):
    """A client of the service at `url`. `api_key` is sent if it is given. It may be used from several threads.

    Streams yield events, and a `Reconnecting` before each new attempt after a cut.
    """

    def stream(self, message: str = "", **options: Unpack[Options]) -> Iterator[Event | Reconnecting]:
        """Start a run, and yield its events. Raise `ApiError`, `ConnectionLost` and `ProtocolError`."""
        opening = questions.opening(message, options, fresh_key=uuid4().hex)
        handlers = questions.handlers(options, may_await=False)
        return self._values(flows.follow(self._service, opening, handlers))

    def ask(self, message: str = "", **options: Unpack[Options]) -> Answer:
        """Start a run, and return its answer at the end. Raise `RunFailed` too."""
        collector = Collector()
        for item in self.stream(message, **options):
            collector.add(item)
        return collector.answer()

    def follow(self, run_id: str, after: int = 0, **handling: Unpack[Handling]) -> Iterator[Event | Reconnecting]:
        """Yield the events of a run behind the event number `after`."""
        opening, handlers = requests.follow(run_id, after), questions.handlers(handling, may_await=False)
        return self._values(flows.follow(self._service, opening, handlers, run_id=run_id, after=after))

    def resume(self, run_id: str, **handling: Unpack[Handling]) -> Iterator[Event | Reconnecting]:
        """Continue an interrupted run as a new one, and yield the events of that."""
        opening, handlers = requests.resume(run_id), questions.handlers(handling, may_await=False)
        return self._values(flows.follow(self._service, opening, handlers))
