"""The public surface, pinned: a change here is a change for clients."""

import re
from pathlib import Path
from typing import get_args

from chat.engine import events
from chat.providers.presets import PRESETS
from orchestrator_site import settings
from orchestrator_site.api import api

ROOT = Path(__file__).parents[2]

ROUTES = {
    "/chat/stream": {"post"},
    "/chat/runs/{run_id}/stream": {"get"},
    "/chat/runs/{run_id}": {"get"},
    "/chat/runs/{run_id}/cancel": {"post"},
    "/chat/runs/{run_id}/changes": {"get"},
    "/chat/runs/{run_id}/undo": {"post"},
    "/chat/runs/{run_id}/resume": {"post"},
    "/chat/sessions": {"get"},
    "/chat/sessions/{session_id}": {"get", "patch", "delete"},
    "/chat/sessions/{session_id}/messages": {"get"},
    "/chat/sessions/{session_id}/compact": {"post"},
    "/chat/sessions/{session_id}/fork": {"post"},
    "/chat/sessions/{session_id}/export": {"get"},
    "/chat/sessions/import": {"post"},
    "/workspace/files": {"get"},
    "/workspace/files/{path}": {"get", "put", "delete"},
    "/workspace/archive": {"get", "post"},
    "/ag-ui": {"post"},
    "/ag-ui/{run_id}/stream": {"get"},
    "/ai/chat": {"post"},
    "/ai/chat/{chat_id}/stream": {"get"},
    "/ai/chat/{chat_id}/stop": {"post"},
    "/v1/chat/completions": {"post"},
    "/v1/embeddings": {"post"},
    "/v1/responses": {"post"},
    "/v1/responses/{response_id}": {"get", "delete"},
    "/v1/responses/{response_id}/cancel": {"post"},
    "/v1/responses/{response_id}/input_items": {"get"},
    "/v1/models": {"get"},
    "/v1/audio/speech": {"post"},
    "/v1/audio/transcriptions": {"post"},
    "/v1/models/{model}": {"get"},
    "/mcp": {"post"},
    "/mcp/prompts": {"get"},
    "/mcp/prompts/{server}/{name}": {"get"},
    "/.well-known/oauth-protected-resource": {"get"},
    "/.well-known/oauth-protected-resource/mcp": {"get"},
    "/providers": {"get"},
    "/tools": {"get"},
    "/tools/executions": {"get"},
    "/tools/executions/{execution_id}": {"get"},
    "/tools/executions/{execution_id}/output": {"get"},
    "/tools/executions/{execution_id}/approve": {"post"},
    "/tools/executions/{execution_id}/deny": {"post"},
    "/tools/executions/{execution_id}/result": {"post"},
    "/retrieval/status": {"get"},
    "/retrieval/documents": {"post"},
    "/speech/providers": {"get"},
    "/speech/transcriptions": {"post"},
    "/speech/synthesis": {"post"},
    "/usage": {"get"},
    "/keys": {"get", "post"},
    "/keys/{key_id}": {"delete"},
    "/healthz": {"get"},
    "/livez": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
}
EVENTS = {
    "start",
    "token",
    "reasoning",
    "tool_call",
    "tool_output",
    "tool_result",
    "tool_error",
    "approval_required",
    "approval_resolved",
    "client_tool_call",
    "retry",
    "budget",
    "compaction",
    "usage",
    "end",
    "error",
}
SEED_VARIABLES = (
    "OPENAI_API_KEY",
    "DEFAULT_MODEL",
    "ALLOW_FS_BASE",
    "ENABLE_TERMINAL",
    "ENABLE_GIT",
    "ENABLE_SPEECH",
    "DEFAULT_SPEECH_PROVIDER",
    "DEFAULT_TTS_VOICE",
    "DEFAULT_TTS_MODEL",
    "DEFAULT_STT_MODEL",
    "ENABLE_PERSISTENCE",
    "DATABASE_URL",
    "GEMINI_API_KEY",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "API_KEY",
)


def test_routes_are_pinned() -> None:
    paths = api.get_openapi_schema()["paths"]
    assert {path: set(methods) for path, methods in paths.items()} == ROUTES


def test_event_types_are_pinned() -> None:
    assert {event.__struct_config__.tag for event in events.EVENT_TYPES} == EVENTS
    assert set(get_args(events.Event)) == set(events.EVENT_TYPES)


def test_every_reference_of_the_openapi_document_resolves() -> None:
    document = api.get_openapi_schema()
    for kind, name in re.findall(r"#/components/(\w+)/([\w-]+)", str(document)):
        assert name in document["components"][kind]


def test_env_example_has_every_variable_and_its_default() -> None:
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if re.match(r"[A-Z]", line)
    )
    source = Path(settings.__file__).read_text()
    read = set(re.findall(r'env\.\w+\("([A-Z_]+)"', source))
    read |= (
        set(settings.PROVIDER_SETTINGS)
        | {preset.variable for preset in PRESETS}
        | {"PROVIDERS_FILE", "MCP_SERVERS_FILE", "PLUGINS", "TOOLS_FILE"}
    )
    assert set(example) == read
    assert set(SEED_VARIABLES) <= read
    assert not any(example[name] for name in example if name.endswith("_KEY"))


def test_readme_starts_with_its_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    for mark, command in (
        ("serve", "uv run --no-dev --extra local python manage.py serve"),
        ("test", "uv run pytest -q"),
    ):
        block = re.search(rf"<!-- command: {mark} -->\n```sh\n(.*)\n```\n", readme)
        assert block
        assert block[1].endswith(command)
