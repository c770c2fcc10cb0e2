"""Examples of requests and answers, by the id of their operation."""

from typing import Any, Final

from chat.wire.event_schemas import EXAMPLES as EVENTS
from chat.wire.event_schemas import EXECUTION, RUN, SESSION, SHA256, USAGE

TIME: Final = "2026-11-28T15:05:52.104Z"
LATER: Final = "2026-11-28T15:05:53.871Z"
PROJECTIONS: Final = {"openai", "ai-sdk", "ag-ui", "mcp"}
"""The tags of operations whose streams have the events of another protocol."""

KEY: Final = "01a204bc-0f3c-7e55-8f10-6b1d2a9c3e47"
OWNER: Final = f"key:{KEY}"

TRANSCRIPT: Final = {
    "text": "Good morning.",
    "language": "en",
    "duration": 1.2,
    "segments": [{"start": 0.0, "end": 1.2, "text": "Good morning."}],
    "provider": "local",
    "model": "whisper-tiny.en",
    "cost_usd": 0.0,
    "note": None,
    "taint": {"web": "web.fetch"},
}
DECISION: Final = {"params_sha256": SHA256, "note": "Only once."}
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "start_run": {
        "A message": {"message": "What is the capital of France?"},
        "A message to an older session, with limits": {
            "message": "And of Italy?",
            "session_id": SESSION,
            "provider": "openai",
            "max_output_tokens": 200,
            "tools": ["fs.*"],
        },
        "A tool of the client": {
            "message": "Shorten what I have selected.",
            "client_tools": [
                {
                    "name": "get_selection",
                    "description": "Return the text that the user has selected.",
                    "parameters": {
                        "type": "object",
                        "properties": {"format": {"enum": ["text", "html"]}},
                        "required": ["format"],
                    },
                }
            ],
        },
        "A tool call without a model": {"tool_calls": [{"name": "fs.read", "params": {"path": "README.md"}}]},
    },
    "create_completion": {
        "A question": {
            "model": "gpt-5-mini",
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
        }
    },
    "run_agent": {
        "A message": {
            "threadId": "thread-1",
            "runId": "run-1",
            "messages": [{"id": "m1", "role": "user", "content": "What is in my workspace?"}],
            "tools": [],
            "context": [],
        }
    },
    "send_chat": {
        "A message": {
            "id": "chat-1",
            "trigger": "submit-message",
            "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "What is in my workspace?"}]}],
        }
    },
    "create_embeddings": {"Two texts": {"model": "default", "input": ["The cat sleeps.", "A kitten is asleep."]}},
    "create_response": {
        "A question": {"model": "gpt-5-mini", "input": "What is the capital of France?"},
        "The result of a function": {
            "model": "gpt-5-mini",
            "previous_response_id": "resp_01a204bc0f3c7e558f106b1d2a9c3e47",
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "call_01a204bc11d47a0fb0c86b1d2a9c3e50",
                    "output": "Rain",
                }
            ],
        },
    },
    "handle_mcp_message": {"The list of tools": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}},
    "undo_run": {"Restore the files": {}, "Undo the undo": {"direction": "redo"}},
    "put_document": {"A text": {"name": "handbook/leave.md", "text": "# Leave\nEveryone has 30 days.\n"}},
    "fork_session": {"Up to a message": {"up_to": 4, "title": "Capitals, again"}},
    "change_session": {"A new title": {"title": "Capitals"}},
    "approve_execution": {"An approval": DECISION},
    "deny_execution": {"A denial": {**DECISION, "note": "Write to notes/ only."}},
    "give_result": {"A result": {"data": "The quick brown fox"}, "A failure": {"error": "Nothing is selected."}},
    "synthesize": {"A text": {"text": "Good morning.", "format": "mp3"}},
    "create_speech": {"A text": {"text": "Good morning.", "model": "tts-1", "voice": "alloy"}},
    "create_key": {
        "A key for one application": {
            "name": "web",
            "scopes": ["chat", "fs.read"],
            "expires": "30d",
            "rate": "60/minute",
            "budgets": ["10usd/month"],
        }
    },
}
RUN_FIELDS: Final[dict[str, Any]] = {
    "id": RUN,
    "session_id": SESSION,
    "status": "completed",
    "reason": "completed",
    "provider": "openai",
    "model": "gpt-5-mini",
    "text": "The capital of France is Paris.",
    "usage": USAGE,
    "cost_usd": USAGE["cost_usd"],
    "error": None,
    "created": TIME,
    "started": TIME,
    "ended": LATER,
    "resumed_from": None,
    "taint": {},
}
SESSION_FIELDS: Final[dict[str, Any]] = {
    "id": SESSION,
    "owner": OWNER,
    "title": "What is the capital of France?",
    "user": "",
    "metadata": {},
    "active_run": None,
    "archived": False,
    "taint": {},
    "created": TIME,
    "updated": LATER,
}
MESSAGE_FIELDS: Final = {
    "id": 1,
    "run_id": RUN,
    "role": "user",
    "content": "What is the capital of France?",
    "attachments": 0,
    "tool_calls": None,
    "call_id": None,
    "tool": None,
    "is_error": False,
    "summarizes": None,
    "provider": None,
    "model": None,
    "usage": None,
    "reasoning": None,
    "created": TIME,
}
EXECUTION_FIELDS: Final = {
    "id": EXECUTION,
    "owner": OWNER,
    "session_id": SESSION,
    "run_id": RUN,
    "tool": "fs.write",
    "source": "model",
    "params": {"path": "notes.txt", "content": "Buy milk.\n"},
    "params_sha256": SHA256,
    "status": "awaiting_approval",
    "data": None,
    "output": "",
    "error": None,
    "code": None,
    "confinement": "openat2",
    "created": TIME,
    "started": None,
    "ended": None,
    "duration_ms": None,
    "output_size": None,
    "output_sha256": None,
    "truncated": False,
    "expires": "2026-11-28T16:00:00Z",
    "decision": None,
    "decided": None,
    "decided_by": None,
    "note": None,
    "taint": {"web": "web.fetch"},
}
DECIDED: Final = {"decided": LATER, "decided_by": OWNER}
KEY_FIELDS: Final = {
    "id": KEY,
    "name": "web",
    "prefix": "osk_3kTz9QmW",
    "owner": OWNER,
    "scopes": ["chat", "fs.read"],
    "rate": "60/minute",
    "max_runs": None,
    "budgets": ["10usd/month"],
    "made_by": None,
    "created": TIME,
    "expires": "2026-12-28T15:05:52.104Z",
    "revoked": None,
    "last_used": None,
}
SUMS: Final = {
    "calls": 12,
    "failed": 1,
    "estimated": 0,
    "unpriced": 0,
    "input_tokens": 4_812,
    "output_tokens": 903,
    "cached_tokens": 1_024,
    "reasoning_tokens": 0,
    "milliseconds": 0,
    "runs": 3,
    "run_milliseconds": 8_400,
    "first_tokens": 3,
    "first_token_milliseconds": 1_260,
    "cost_usd": 0.00421,
}
RESOURCE: Final = {
    "resource": "https://agents.example.org/mcp",
    "resource_name": "Orchestrator Service",
    "resource_documentation": "https://agents.example.org/docs",
    "bearer_methods_supported": ["header"],
    "scopes_supported": ["chat", "approve", "tools"],
}
ANSWERS: Final[dict[str, Any]] = {
    "get_resource_metadata": RESOURCE,
    "get_mcp_resource_metadata": RESOURCE,
    "list_mcp_prompts": {
        "items": [
            {
                "server": "wiki",
                "name": "summary",
                "title": "Summary of a page",
                "description": "Sums up one page of the wiki.",
                "arguments": [{"name": "page", "description": "The title of the page.", "required": True}],
            }
        ],
        "count": 1,
        "failed": [],
    },
    "get_mcp_prompt": {
        "description": "Sums up one page of the wiki.",
        "messages": [{"role": "user", "text": "Sum up the page Deployment in five sentences."}],
    },
    "start_run": {**RUN_FIELDS, "approval": None, "client_tool_calls": []},
    "resume_run": {
        **RUN_FIELDS,
        "approval": None,
        "client_tool_calls": [],
        "resumed_from": "01a204bb-9d10-7aa3-b7c4-0e5f1b2c3d4e",
    },
    "compact_session": {
        **RUN_FIELDS,
        "text": "",
        "compaction": {"before": 12_400, "after": 1_900, "results": 0, "left_out": 0, "summarized": 38},
    },
    "get_run": RUN_FIELDS,
    "cancel_run": {"id": RUN, "status": "cancelled"},
    "get_changes": {
        "run_id": RUN,
        "files": [
            {
                "path": "notes/plan.txt",
                "action": "created",
                "sha256_before": None,
                "sha256_after": SHA256,
                "restorable": True,
            }
        ],
        "diff": "--- /dev/null\n+++ b/notes/plan.txt\n@@ -0,0 +1 @@\n+Buy milk.\n",
        "truncated": False,
        "commands": 0,
        "note": None,
    },
    "list_models": {
        "object": "list",
        "data": [{"id": "gpt-5-mini", "object": "model", "created": 0, "owned_by": "openai"}],
    },
    "get_model": {"id": "gpt-5-mini", "object": "model", "created": 0, "owned_by": "openai"},
    "list_files": {
        "items": [{"path": "notes/plan.txt", "type": "file", "size": 10, "modified": TIME}],
        "count": 1,
        "truncated": False,
    },
    "handle_mcp_message": {"jsonrpc": "2.0", "id": 1, "result": {}},
    "write_file": {"path": "notes/plan.txt", "size": 10, "sha256": SHA256, "created": True},
    "upload_archive": {"files": 2, "created": 2, "bytes": 1_024},
    "undo_run": {
        "run_id": RUN,
        "direction": "undo",
        "files": [{"path": "notes/plan.txt", "action": "removed"}],
        "note": None,
    },
    "get_index": {
        "files": 49,
        "skipped": 3,
        "pieces": 309,
        "embedded": 309,
        "bytes": 552960,
        "updated": TIME,
        "complete": True,
        "running": False,
        "note": None,
    },
    "put_document": {"path": "documents/handbook/leave.md", "size": 34, "sha256": SHA256, "created": True},
    "list_sessions": {"items": [SESSION_FIELDS], "count": 1, "is_complete": True},
    "get_session": SESSION_FIELDS,
    "change_session": {**SESSION_FIELDS, "title": "Capitals"},
    "list_messages": {
        "items": [
            MESSAGE_FIELDS,
            {
                **MESSAGE_FIELDS,
                "id": 2,
                "role": "assistant",
                "content": "The capital of France is Paris.",
                "provider": "openai",
                "model": "gpt-5-mini",
                "usage": USAGE,
                "created": LATER,
            },
            {
                **MESSAGE_FIELDS,
                "id": 3,
                "role": "summary",
                "content": "The user asked for the capital of France: it is Paris.",
                "summarizes": [[1, 2]],
                "provider": "openai",
                "model": "gpt-5-mini",
                "usage": USAGE,
                "created": LATER,
            },
        ],
        "count": 3,
    },
    "list_executions": {"items": [EXECUTION_FIELDS], "count": 1},
    "get_execution": EXECUTION_FIELDS,
    "approve_execution": {**EXECUTION_FIELDS, **DECIDED, "decision": "approved", "note": "Only once."},
    "deny_execution": {**EXECUTION_FIELDS, **DECIDED, "decision": "denied", "note": "Write to notes/ only."},
    "give_result": {
        **EXECUTION_FIELDS,
        "tool": "get_selection",
        "params": {"format": "text"},
        "status": "succeeded",
        "data": "The quick brown fox",
        "confinement": "",
        "started": TIME,
        "ended": LATER,
        "duration_ms": 1_767.0,
    },
    "get_output": {"text": "3 passed\n", "offset": 0, "size": 9, "next_offset": None},
    "list_providers": {
        "items": [
            {
                "name": "openai",
                "configured": True,
                "reason": None,
                "default": True,
                "default_model": "gpt-5-mini",
                "models": ["gpt-5-mini", "gpt-5"],
                "capabilities": ["streaming", "tools", "images"],
            }
        ],
        "count": 1,
    },
    "transcribe": TRANSCRIPT,
    "create_transcription": TRANSCRIPT,
    "get_usage": {"items": [{"day": "2026-11-28", **SUMS}], "count": 1, "total": SUMS},
    "list_keys": {"items": [KEY_FIELDS], "count": 1},
    "create_key": {**KEY_FIELDS, "key": "osk_3kTz9QmWvB7nR2xYc5LhJ8dFgP4sAeT6uKiN1oMwXzQyEbVjU"},
    "get_liveness": {"status": "ok"},
    "get_readiness": {"status": "ok"},
}


def add(details: dict[str, Any]) -> None:
    """Add the examples of an operation to its description."""
    operation = details["operationId"]
    if operation in REQUESTS:
        named = {name: {"summary": name, "value": value} for name, value in REQUESTS[operation].items()}
        details["requestBody"]["content"]["application/json"]["examples"] = named
    for status, response in details["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type == "text/event-stream" and not PROJECTIONS.intersection(details["tags"]):
                content["examples"] = {event["type"]: {"value": event} for event in EVENTS}
            elif operation in ANSWERS and media_type == "application/json" and status in {200, 201}:
                content["example"] = ANSWERS[operation]
