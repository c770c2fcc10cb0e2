"""Every endpoint of the API, with the scopes that open it and whether its records have owners.

A new endpoint must be entered here.
"""

from typing import Any, Final, Literal

import msgspec

from orchestrator_site.api import api

Kind = Literal["session", "run", "interrupted", "execution", "waiting", "response", "list", "unowned"]
"""The type of record that a path's id names, a list of the caller's records, or `unowned`."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`scopes` lists the scopes of which one is needed. In the `body` that is sent, `ID` stands for the id."""

    kind: Kind
    scopes: tuple[str, ...]
    body: Any = None
    opens_with: int = 200
    """The status of a request with a sufficient scope for a record of its own."""


READ: Final = ("chat", "audit")
EXECUTIONS: Final = ("chat", "approve", "audit")
DECISION: Final = {"params_sha256": "HASH"}

ENDPOINTS: Final = {
    ("post", "/chat/stream"): Endpoint(kind="session", scopes=("chat",), body={"message": "Hi", "session_id": "ID"}),
    ("get", "/chat/runs/{run_id}/stream"): Endpoint(kind="run", scopes=READ),
    ("get", "/chat/runs/{run_id}"): Endpoint(kind="run", scopes=READ),
    ("post", "/chat/runs/{run_id}/cancel"): Endpoint(kind="run", scopes=("chat",)),
    ("get", "/chat/runs/{run_id}/changes"): Endpoint(kind="run", scopes=("files.read", "audit")),
    ("post", "/chat/runs/{run_id}/undo"): Endpoint(kind="run", scopes=("files.write",), body={"direction": "undo"}),
    ("post", "/chat/runs/{run_id}/resume"): Endpoint(kind="interrupted", scopes=("chat",)),
    ("get", "/chat/sessions"): Endpoint(kind="list", scopes=READ),
    ("get", "/chat/sessions/{session_id}"): Endpoint(kind="session", scopes=READ),
    ("patch", "/chat/sessions/{session_id}"): Endpoint(kind="session", scopes=("chat",), body={"title": "Mine"}),
    ("get", "/chat/sessions/{session_id}/messages"): Endpoint(kind="session", scopes=READ),
    ("post", "/chat/sessions/{session_id}/compact"): Endpoint(kind="session", scopes=("chat",)),
    ("post", "/chat/sessions/{session_id}/fork"): Endpoint(
        kind="session", scopes=("chat",), body={"title": "Copy"}, opens_with=201
    ),
    ("get", "/chat/sessions/{session_id}/export"): Endpoint(kind="session", scopes=READ),
    ("post", "/chat/sessions/import"): Endpoint(kind="unowned", scopes=("chat",), body={"type": "x"}, opens_with=415),
    ("get", "/workspace/files"): Endpoint(kind="unowned", scopes=("files.read",)),
    ("get", "/workspace/files/{path}"): Endpoint(kind="unowned", scopes=("files.read",), opens_with=404),
    ("put", "/workspace/files/{path}"): Endpoint(kind="unowned", scopes=("files.write",), body={}, opens_with=201),
    ("delete", "/workspace/files/{path}"): Endpoint(kind="unowned", scopes=("files.write",), opens_with=404),
    ("get", "/workspace/archive"): Endpoint(kind="unowned", scopes=("files.read",)),
    ("post", "/workspace/archive"): Endpoint(kind="unowned", scopes=("files.write",), body={}, opens_with=422),
    ("post", "/ag-ui"): Endpoint(kind="unowned", scopes=("chat",), body={"threadId": ""}, opens_with=422),
    ("get", "/ag-ui/{run_id}/stream"): Endpoint(kind="run", scopes=("chat",)),
    ("post", "/ai/chat"): Endpoint(kind="unowned", scopes=("chat",), body={"id": ""}, opens_with=422),
    ("get", "/ai/chat/{chat_id}/stream"): Endpoint(kind="unowned", scopes=("chat",), opens_with=204),
    ("post", "/ai/chat/{chat_id}/stop"): Endpoint(kind="unowned", scopes=("chat",), opens_with=404),
    ("post", "/v1/chat/completions"): Endpoint(kind="unowned", scopes=("chat",), body={"model": ""}, opens_with=400),
    ("post", "/v1/audio/transcriptions"): Endpoint(kind="unowned", scopes=("speech",), body={}, opens_with=415),
    ("post", "/v1/audio/speech"): Endpoint(kind="unowned", scopes=("speech",), body={"text": ""}, opens_with=400),
    ("post", "/v1/embeddings"): Endpoint(
        kind="unowned", scopes=("retrieval.search",), body={"model": "none", "input": "Hi"}, opens_with=404
    ),
    ("post", "/v1/responses"): Endpoint(
        kind="response", scopes=("chat",), body={"model": "scripted-1", "input": "Hi", "previous_response_id": "ID"}
    ),
    ("get", "/v1/responses/{response_id}"): Endpoint(kind="response", scopes=("chat",)),
    ("get", "/v1/responses/{response_id}/input_items"): Endpoint(kind="response", scopes=("chat",)),
    ("post", "/v1/responses/{response_id}/cancel"): Endpoint(kind="response", scopes=("chat",)),
    ("delete", "/v1/responses/{response_id}"): Endpoint(kind="response", scopes=("chat",)),
    ("get", "/v1/models"): Endpoint(kind="unowned", scopes=("chat",)),
    ("get", "/v1/models/{model}"): Endpoint(kind="unowned", scopes=("chat",), opens_with=404),
    ("post", "/mcp"): Endpoint(kind="unowned", scopes=(), body={"jsonrpc": "2.0", "id": 1, "method": "ping"}),
    ("get", "/mcp/prompts"): Endpoint(kind="unowned", scopes=()),
    ("get", "/mcp/prompts/{server}/{name}"): Endpoint(kind="unowned", scopes=(), opens_with=404),
    ("get", "/providers"): Endpoint(kind="unowned", scopes=()),
    ("get", "/tools"): Endpoint(kind="unowned", scopes=()),
    ("get", "/tools/executions"): Endpoint(kind="list", scopes=EXECUTIONS),
    ("get", "/tools/executions/{execution_id}"): Endpoint(kind="execution", scopes=EXECUTIONS),
    ("get", "/tools/executions/{execution_id}/output"): Endpoint(kind="execution", scopes=EXECUTIONS),
    ("post", "/tools/executions/{execution_id}/approve"): Endpoint(kind="waiting", scopes=("approve",), body=DECISION),
    ("post", "/tools/executions/{execution_id}/deny"): Endpoint(
        kind="waiting", scopes=("approve",), body=DECISION, opens_with=409
    ),  # The call was approved one line above.
    ("post", "/tools/executions/{execution_id}/result"): Endpoint(
        kind="waiting", scopes=("chat",), body={"data": 1}, opens_with=409
    ),  # The call waited for an approval.
    ("get", "/retrieval/status"): Endpoint(kind="unowned", scopes=("retrieval.search",)),
    ("post", "/retrieval/documents"): Endpoint(
        kind="unowned", scopes=("retrieval.search",), body={"name": "a.md", "text": ""}, opens_with=403
    ),  # It writes a file, for which it also needs `files.write`.
    ("get", "/speech/providers"): Endpoint(kind="unowned", scopes=("speech",)),
    ("post", "/speech/transcriptions"): Endpoint(kind="unowned", scopes=("speech",), body={}, opens_with=415),
    ("post", "/speech/synthesis"): Endpoint(kind="unowned", scopes=("speech",), body={"text": ""}, opens_with=422),
    ("get", "/usage"): Endpoint(kind="list", scopes=()),
    ("get", "/keys"): Endpoint(kind="unowned", scopes=("keys",)),
    ("post", "/keys"): Endpoint(kind="unowned", scopes=("keys",), body={"name": ""}, opens_with=422),
    ("delete", "/keys/{key_id}"): Endpoint(kind="unowned", scopes=("keys",), opens_with=404),
    ("get", "/metrics"): Endpoint(kind="unowned", scopes=("audit",)),
    # This one is last because it deletes the session.
    ("delete", "/chat/sessions/{session_id}"): Endpoint(kind="session", scopes=("chat",), opens_with=204),
}
RESOURCE: Final = "/.well-known/oauth-protected-resource"
OPEN: Final = {("get", path) for path in ("/healthz", "/livez", "/readyz", RESOURCE, f"{RESOURCE}/mcp")}
"""Endpoints that need no key."""


def documented() -> set[tuple[str, str]]:
    """Return the method and path of every operation in the OpenAPI document."""
    paths = api.get_openapi_schema()["paths"]
    return {(method, path) for path, methods in paths.items() for method in methods}
