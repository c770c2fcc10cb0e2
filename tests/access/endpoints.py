"""Every endpoint of the API: which scopes open it, and whose what it tells of is. A new one has to be entered here."""

from typing import Any, Final, Literal

import msgspec

from orchestrator_site.api import api

Kind = Literal["session", "run", "interrupted", "execution", "waiting", "list", "nobody"]
"""What a path's id names; or a list of the caller's own; or nothing that belongs to anybody."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`scopes` are those of which one is needed; `body` is what is sent, in which `ID` stands for the id."""

    kind: Kind
    scopes: tuple[str, ...]
    body: Any = None
    opens_with: int = 200
    """The status for whoever has a scope that opens it, and whose what it tells of is."""


READ: Final = ("chat", "audit")
EXECUTIONS: Final = ("chat", "approve", "audit")
DECISION: Final = {"params_sha256": "HASH"}

ENDPOINTS: Final = {
    ("post", "/chat/stream"): Endpoint(kind="session", scopes=("chat",), body={"message": "Hi", "session_id": "ID"}),
    ("get", "/chat/runs/{run_id}/stream"): Endpoint(kind="run", scopes=READ),
    ("get", "/chat/runs/{run_id}"): Endpoint(kind="run", scopes=READ),
    ("post", "/chat/runs/{run_id}/cancel"): Endpoint(kind="run", scopes=("chat",)),
    ("post", "/chat/runs/{run_id}/resume"): Endpoint(kind="interrupted", scopes=("chat",)),
    ("get", "/chat/sessions"): Endpoint(kind="list", scopes=READ),
    ("get", "/chat/sessions/{session_id}"): Endpoint(kind="session", scopes=READ),
    ("patch", "/chat/sessions/{session_id}"): Endpoint(kind="session", scopes=("chat",), body={"title": "Mine"}),
    ("get", "/chat/sessions/{session_id}/messages"): Endpoint(kind="session", scopes=READ),
    ("get", "/providers"): Endpoint(kind="nobody", scopes=()),
    ("get", "/tools"): Endpoint(kind="nobody", scopes=()),
    ("get", "/tools/executions"): Endpoint(kind="list", scopes=EXECUTIONS),
    ("get", "/tools/executions/{execution_id}"): Endpoint(kind="execution", scopes=EXECUTIONS),
    ("get", "/tools/executions/{execution_id}/output"): Endpoint(kind="execution", scopes=EXECUTIONS),
    ("post", "/tools/executions/{execution_id}/approve"): Endpoint(kind="waiting", scopes=("approve",), body=DECISION),
    ("post", "/tools/executions/{execution_id}/deny"): Endpoint(
        kind="waiting", scopes=("approve",), body=DECISION, opens_with=409
    ),  # it was approved a line above
    ("get", "/speech/providers"): Endpoint(kind="nobody", scopes=("speech",)),
    ("post", "/speech/transcriptions"): Endpoint(kind="nobody", scopes=("speech",), body={}, opens_with=415),
    ("post", "/speech/synthesis"): Endpoint(kind="nobody", scopes=("speech",), body={"text": ""}, opens_with=422),
    ("get", "/usage"): Endpoint(kind="list", scopes=()),
    ("get", "/keys"): Endpoint(kind="nobody", scopes=("keys",)),
    ("post", "/keys"): Endpoint(kind="nobody", scopes=("keys",), body={"name": ""}, opens_with=422),
    ("delete", "/keys/{key_id}"): Endpoint(kind="nobody", scopes=("keys",), opens_with=404),
    ("get", "/metrics"): Endpoint(kind="nobody", scopes=("audit",)),
    # last, since it takes the session away
    ("delete", "/chat/sessions/{session_id}"): Endpoint(kind="session", scopes=("chat",), opens_with=204),
}
OPEN: Final = {("get", "/healthz")}
"""Those that need no key."""


def documented() -> set[tuple[str, str]]:
    """Method and path of all that the service's own document lists."""
    paths = api.get_openapi_schema()["paths"]
    return {(method, path) for path, methods in paths.items() for method in methods}
