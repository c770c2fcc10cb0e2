"""The JSON Schemas of the events, for the OpenAPI document."""

import re
from typing import Any, Final

import msgspec

from chat.engine.events import EVENT_TYPES, Event

REFERENCE: Final = "#/components/schemas/"
RUN_EVENT: Final = {"$ref": f"{REFERENCE}RunEvent"}
DESCRIPTION: Final = (
    "One event of a run; `type` tells them apart. Types and fields may be added: ignore those that you do not know."
)

RUN: Final = "01a204bc-4e7a-79ec-8c8b-159f994b660d"
SESSION: Final = "01a204bc-4e7a-7b1f-a0d2-5c5f0a4c7e11"
EXECUTION: Final = "01a204bc-5102-7c41-9d3e-2f6b8f0e4a92"
SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TOKENS: Final = {"input_tokens": 412, "output_tokens": 18, "cached_tokens": 0, "reasoning_tokens": 0}
USAGE: Final = {**TOKENS, "cost_usd": 0.00019, "estimated": False}

EXAMPLES: Final[tuple[dict[str, Any], ...]] = (
    {"type": "start", "run_id": RUN, "session_id": SESSION, "provider": "openai", "model": "gpt-5-mini"},
    {"type": "token", "token": "Paris"},
    {"type": "reasoning", "text": "The user asks for a capital."},
    {
        "type": "tool_call",
        "tool": "fs.read",
        "params": {"path": "README.md"},
        "execution_id": EXECUTION,
        "source": "model",
    },
    {
        "type": "approval_required",
        "tool": "fs.write",
        "params": {"path": "notes.txt", "content": "Buy milk.\n"},
        "execution_id": EXECUTION,
        "params_sha256": SHA256,
        "expires_at": "2026-11-28T16:00:00+00:00",
    },
    {"type": "approval_resolved", "execution_id": EXECUTION, "decision": "approved"},
    {
        "type": "tool_output",
        "tool": "terminal.exec",
        "execution_id": EXECUTION,
        "stream": "stdout",
        "text": "3 passed",
    },
    {
        "type": "tool_result",
        "tool": "fs.write",
        "data": {"path": "notes.txt", "size": 10, "sha256": SHA256, "created": True},
        "execution_id": EXECUTION,
    },
    {
        "type": "tool_error",
        "tool": "fs.read",
        "error": "There is no file 'missing.txt'.",
        "code": "not_found",
        "execution_id": EXECUTION,
    },
    {
        "type": "retry",
        "provider": "openai",
        "attempt": 1,
        "error": "openai did not answer in time.",
        "next_provider": "gemini",
        "code": "provider_timeout",
    },
    {"type": "budget", "scope": "key", "span": "month", "spent": 8.4, "limit": 10.0, "unit": "usd"},
    {"type": "compaction", "before": 131_200, "after": 98_400, "results": 6, "left_out": 0, "summarized": 14},
    {"type": "usage", **USAGE},
    {"type": "end", "reason": "completed", "run_id": RUN, "session_id": SESSION, "usage": USAGE},
    {
        "type": "error",
        "error": "The provider is not available.",
        "code": "provider_unavailable",
        "retryable": True,
    },
)
"""One event of each type, as its JSON."""


def event_schemas() -> dict[str, Any]:
    """Return the schemas of all events, and of `RunEvent`, which is any of them, as components of the document."""
    generated = msgspec.json.schema_components([Event], ref_template=f"{REFERENCE}{{name}}")
    # The suffix keeps the events apart from the schemas of bodies with the same names.
    names = "|".join(event.__name__ for event in EVENT_TYPES)
    renamed = re.sub(rf'"({REFERENCE})?({names})"(?=[],:}}])', r'"\1\2Event"', msgspec.json.encode(generated).decode())
    [union], schemas = msgspec.json.decode(renamed)
    for schema in schemas.values():
        # Generators name their types after components. A title would be a second name.
        del schema["title"]
        fields = schema["properties"]
        tag = fields.get("type")
        # openapi-typescript makes a field with a default required.
        for field in fields.values():
            field.pop("default", None)
        if tag is None:
            # A part of an event is always whole, though its type has defaults.
            schema["required"] = list(fields)
        else:
            fields["type"] = {"type": "string", "description": "The type of the event.", **tag}
            schema["examples"] = [example for example in EXAMPLES if example["type"] in tag["enum"]]
    return {
        **schemas,
        "RunEvent": {
            "description": DESCRIPTION,
            "oneOf": union["anyOf"],
            "discriminator": union["discriminator"],
        },
    }
