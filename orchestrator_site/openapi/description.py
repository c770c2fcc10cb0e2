"""The texts of the OpenAPI document that belong to no single endpoint."""

from typing import Any, Final

from orchestrator_site.settings import PYPROJECT

PROJECT: Final = PYPROJECT["project"]
AUTHOR: Final = PROJECT["authors"][0]

INFO: Final[dict[str, Any]] = {
    "description": """\
An agent behind one HTTP endpoint: streamed answers, confined tools, a durable record.

`POST /chat/stream` starts a run and streams its events. `/ws/chat` carries the same events over a WebSocket.
`/ws/speech` transcribes live audio and speaks text while it is written. Times are in ISO 8601, costs in USD. Fields and
events may be added: ignore those that you do not know.
""",
    "contact": {"name": AUTHOR["name"], "email": AUTHOR["email"], "url": PROJECT["urls"]["Homepage"]},
    "license": {"name": "Apache License 2.0", "identifier": PROJECT["license"]},
}
LINK: Final = {"description": "The documentation", "url": PROJECT["urls"]["Documentation"]}
TAGS: Final = [
    {"name": "chat", "description": "Runs, and the sessions with the messages that they belong to."},
    {"name": "providers", "description": "The providers of models."},
    {"name": "tools", "description": "The tools, their executions, and decisions about executions that wait."},
    {"name": "workspace", "description": "The files of the caller's workspace."},
    {"name": "openai", "description": "The API of OpenAI, for clients that speak it."},
    {"name": "ai-sdk", "description": "The UI message streams of the AI SDK, for `useChat`."},
    {"name": "ag-ui", "description": "The events of AG-UI, the Agent-User Interaction protocol."},
    {"name": "mcp", "description": "The tools of the caller, for clients of the Model Context Protocol."},
    {"name": "speech", "description": "Speech to text, and text to speech."},
    {"name": "usage", "description": "Calls, tokens and cost."},
    {"name": "keys", "description": "The keys of callers."},
    {"name": "health", "description": "Probes and metrics."},
]
SECURITY_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The key, as `Authorization: Bearer <key>`."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The key, in its own header.",
    },
}
"""The two ways to send a key. A request uses one of them, or none while no key exists."""

PATH_PARAMETERS: Final = {
    "run_id": "The run's id.",
    "session_id": "The session's id.",
    "execution_id": "The execution's id.",
    "key_id": "The key's id.",
    "model": "The name of a model.",
    "chat_id": "The chat: a name that the client chose, or the id of its session.",
    "response_id": "The id of a response, which begins with `resp_`.",
    "server": "The name of an MCP server, as in `mcp.NAME.TOOL`.",
    "name": "The name of a prompt.",
    "path": "The path of a file in the workspace, such as `docs/guide.md`.",
}
TRACE_CONTEXT: Final = {
    "in": "header",
    "name": "traceparent",
    "required": False,
    "description": "The caller's span (W3C Trace Context). A traced run continues it.",
    "schema": {"type": "string"},
}
