"""The requests of the API as values: their paths, bodies and types of answers."""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

from orchestrator_client.core import values
from orchestrator_client.core.function_tools import Result
from orchestrator_client.core.values import Page

Answer = TypeVar("Answer")

EVENT_STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
MAX_KEY_CHARS: Final = 255
NOT_NAMES: Final = frozenset({"", ".", ".."})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request, without the address of the service."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Call(msgspec.Struct, Generic[Answer], frozen=True, kw_only=True):
    """A request with one answer. If it is `repeatable`, doing it twice changes nothing more."""

    request: Request
    answer: type[Answer]
    repeatable: bool = True


def segment(text: str) -> str:
    """Return a text as one segment of a path. Raise `ValueError` if it cannot be one."""
    if text in NOT_NAMES:
        raise ValueError(f"{text!r} is not an id.")
    return quote(text, safe="")


def _get(path: str, answer: type[Answer], /, **query: Any) -> Call[Answer]:
    given = {name: _text(value) for name, value in query.items() if value is not None}
    return Call(request=Request(method="GET", path=path, query=given), answer=answer)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _post(path: str, answer: type[Answer], body: Any = None) -> Call[Answer]:
    encoded = b"" if body is None else msgspec.json.encode(body)
    headers = {} if body is None else {"Content-Type": JSON}
    return Call(request=Request(method="POST", path=path, headers=headers, body=encoded), answer=answer)


def start(body: Mapping[str, Any], idempotency_key: str) -> Request:
    """Return the request that starts a run. Raise `ValueError` if the key cannot be a header."""
    if not (0 < len(idempotency_key) <= MAX_KEY_CHARS and idempotency_key.isascii() and idempotency_key.isprintable()):
        raise ValueError(f"An idempotency key has 1 to {MAX_KEY_CHARS} printable ASCII characters.")
    headers = {"Content-Type": JSON, "Accept": EVENT_STREAM, "Idempotency-Key": idempotency_key}
    return Request(method="POST", path="/chat/stream", headers=headers, body=msgspec.json.encode(body))


def follow(run_id: str, after: int) -> Request:
    headers = {"Accept": EVENT_STREAM, "Last-Event-ID": str(after)}
    return Request(method="GET", path=f"/chat/runs/{segment(run_id)}/stream", headers=headers)


def resume(run_id: str) -> Request:
    return Request(method="POST", path=f"/chat/runs/{segment(run_id)}/resume", headers={"Accept": EVENT_STREAM})


def run(run_id: str) -> Call[values.Run]:
    return _get(f"/chat/runs/{segment(run_id)}", values.Run)


def cancel(run_id: str) -> Call[values.CancelledRun]:
    return _post(f"/chat/runs/{segment(run_id)}/cancel", values.CancelledRun)


def compact(session_id: str) -> Call[values.Run]:
    path = f"/chat/sessions/{segment(session_id)}/compact"
    return Call(
        request=Request(method="POST", path=path, headers={"Accept": JSON}), answer=values.Run, repeatable=False
    )


def sessions(limit: int, offset: int, *, archived: bool, search: str) -> Call[Page[values.Session]]:
    asked = {"limit": limit, "offset": offset, "archived": archived, **({"search": search} if search else {})}
    return _get("/chat/sessions", Page[values.Session], **asked)


def messages(session_id: str, limit: int, offset: int) -> Call[Page[values.Message]]:
    path = f"/chat/sessions/{segment(session_id)}/messages"
    return _get(path, Page[values.Message], limit=limit, offset=offset)


def providers() -> Call[Page[values.Provider]]:
    return _get("/providers", Page[values.Provider])


def tools() -> Call[Page[values.Tool]]:
    return _get("/tools", Page[values.Tool])


def executions(
    status: str | None, session_id: str | None, run_id: str | None, limit: int, offset: int
) -> Call[Page[values.Execution]]:
    filters = {"status": status, "session_id": session_id, "run_id": run_id}
    return _get("/tools/executions", Page[values.Execution], **filters, limit=limit, offset=offset)


def execution(execution_id: str) -> Call[values.Execution]:
    return _get(f"/tools/executions/{segment(execution_id)}", values.Execution)


def decide(execution_id: str, params_sha256: str, note: str, *, approved: bool) -> Call[values.Execution]:
    path = f"/tools/executions/{segment(execution_id)}/{'approve' if approved else 'deny'}"
    return _post(path, values.Execution, {"params_sha256": params_sha256, "note": note})


def result(execution_id: str, outcome: Result) -> Call[values.Execution]:
    return _post(f"/tools/executions/{segment(execution_id)}/result", values.Execution, outcome)


def given_result(execution_id: str, data: Any, error: str | None) -> Call[values.Execution]:
    """Return the answer to a call: `data`, or the `error` if it is given."""
    if error is not None:
        return result(execution_id, Result(error=error))
    return result(execution_id, Result(data=msgspec.Raw(msgspec.json.encode(data))))


def list_files(path: str, session_id: str | None, *, recursive: bool) -> Call[values.FileList]:
    query = {"path": path or ".", "session_id": session_id, "recursive": recursive}
    return _get("/workspace/files", values.FileList, **query)


def read_file(path: str, session_id: str | None) -> Call[bytes]:
    return _get(_file(path), bytes, session_id=session_id)


def write_file(path: str, data: bytes, session_id: str | None, *, only_new: bool) -> Call[values.WrittenFile]:
    headers = {"Content-Type": "application/octet-stream"} | ({"If-None-Match": "*"} if only_new else {})
    query = {} if session_id is None else {"session_id": session_id}
    request = Request(method="PUT", path=_file(path), query=query, headers=headers, body=data)
    # A file that exists now may be the one that the lost answer was about.
    return Call(request=request, answer=values.WrittenFile, repeatable=not only_new)


def _file(path: str) -> str:
    # HTTP libraries resolve `..` themselves, which would make another address of it.
    if not NOT_NAMES.isdisjoint(path.split("/")):
        raise ValueError(f"{path!r} is not the path of a file in the workspace. Give one without empty parts, . or ..")
    return f"/workspace/files/{quote(path)}"
