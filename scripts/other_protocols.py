"""Requests of other protocols for the fuzzer: OpenAI's API, the AI SDK, AG-UI and MCP."""

import json
import random
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from scripts.well_formed import PICTURE, Made, Values

MODELS: Final = ("gpt-5.4-mini", "openai/gpt-5.4-mini:plain", "none", "")
NAMES: Final = ("c1", "c2", "../x", "\u00e9", "x" * 201)
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
DATA_URL: Final = f"data:image/png;base64,{PICTURE}"
TOOLS: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("fs.list", {}),
    ("fs.read", {"path": "a.txt"}),
    ("fs.write", {"path": "a.txt", "content": "x"}),
)
SAMPLING: Final[dict[str, tuple[Any, ...]]] = {
    "temperature": (0, 1.5, 9), "top_p": (0.5, 0), "stream": (True, False, None), "metadata": ({}, {"a": "b"}),
    "user": ("alice",), "parallel_tool_calls": (True, False), "tool_choice": ("auto", "none", "required", "x"),
}  # fmt: skip


class OtherProtocols:
    """Makes requests, most of which have one odd value."""

    def __init__(self, source: random.Random, values: Values) -> None:
        self._random = source
        self._values = values

    def request(self) -> Made:
        """Return a request in one of the protocols."""
        path, body = self._random.choice(
            (self._completion, self._response, self._chat, self._agent, self._mcp, self._embeddings, self._named)
        )()
        if body is None:
            return Made(self._random.choice(("GET", "POST", "DELETE")), path)
        return Made("POST", path, json.dumps(self._values.with_odd(body)).encode())

    def _pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _name(self, prefix: str) -> str:
        """Return an id in a form of the service: that of a row, with a suffix or without."""
        row = self._values.id()
        with suppress(ValueError):
            row = UUID(row).hex
        return f"{prefix}{row}{self._pick('', '', '_1', '_0', '_' + '0' * 64)}"

    def _completion(self) -> tuple[str, Any]:
        call = {"id": self._name("call_"), "type": "function", "function": {"name": "w", "arguments": "{}"}}
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": self._pick("Hi", [{"type": "image_url", "image_url": {"url": DATA_URL}}])},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "Rain"},
        ]
        tools = [{"type": "function", "function": {"name": self._pick("w", "fs_read"), "parameters": SCHEMA}}]
        fields = {**SAMPLING, "tools": (tools,), "stream_options": ({"include_usage": True},), "n": (1, 2)}
        body = {"model": self._pick(*MODELS), "messages": messages[: self._pick(1, 2, 4)]}
        return "/v1/chat/completions", {**body, **self._values.some(fields)}

    def _response(self) -> tuple[str, Any]:
        approval = {"type": "mcp_approval_response", "approval_request_id": self._name("mcpr_"), "approve": True}
        items = [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"},
            {"type": "function_call_output", "call_id": self._pick("c", self._name("call_")), "output": "Rain"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            self._pick(approval, {"type": "item_reference", "id": "msg_1"}),
        ]
        fields = {
            **SAMPLING,
            "previous_response_id": (self._name("resp_"), "resp_"),
            "conversation": (self._name("conv_"), {"id": self._name("conv_")}),
            "background": (True, False), "store": (True, False), "instructions": ("Be brief.", None),
            "tools": ([{"type": "function", "name": "w", "parameters": SCHEMA}],),
            "text": ({"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}, {"format": {"type": "text"}}),
            "reasoning": ({"effort": "low", "summary": "auto"},), "max_output_tokens": (1, 100),
        }  # fmt: skip
        given = self._pick("Hi", items[: self._pick(1, 3, 5)], items[-1:], [])
        return "/v1/responses", {"model": self._pick(*MODELS), "input": given, **self._values.some(fields, 0.2)}

    def _chat(self) -> tuple[str, Any]:
        execution, digest = self._values.waiting()
        approval = {"id": f"{execution}:{digest}", "approved": self._pick(True, False)}
        parts = [
            {"type": "step-start"},
            {"type": "dynamic-tool", "toolCallId": execution, "state": "approval-responded", "approval": approval},
            {"type": "tool-w", "toolCallId": self._values.id(), "state": "output-available", "output": {"a": 1}},
        ]
        asked = {"id": f"m{self._random.randrange(9)}", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
        picture = {"type": "file", "mediaType": "image/png", "url": DATA_URL}
        asked["parts"] += self._pick([], [picture])
        answered = {"id": "a", "role": "assistant", "parts": parts[: self._pick(2, 3)]}
        fields = {
            "trigger": ("submit-message", "regenerate-message"), "model": MODELS, "provider": ("openai", "none"),
            "clientTools": ([{"name": "w", "parameters": SCHEMA}],), "reasoning": ("show",), "tools": (["fs.*"], []),
        }  # fmt: skip
        messages = self._pick([asked], [asked, answered])
        return "/ai/chat", {"id": self._pick(*NAMES), "messages": messages, **self._values.some(fields)}

    def _agent(self) -> tuple[str, Any]:
        execution, digest = self._values.waiting()
        source = {"type": "data", "value": PICTURE, "mimeType": "image/png"}
        asked = {"id": "m1", "role": "user", "content": self._pick("Hi", [{"type": "image", "source": source}])}
        result = {"id": "m2", "role": "tool", "toolCallId": self._values.id(), "content": "Rain"}
        resume = {"interruptId": f"{execution}:{digest}", "status": "resolved", "payload": {"approved": True}}
        body = {"threadId": self._pick(*NAMES), "runId": f"r{self._random.randrange(9)}"}
        fields = {
            "tools": ([{"name": "w", "description": "", "parameters": SCHEMA}], []), "resume": ([resume], []),
            "context": ([{"description": "a", "value": "b"}],), "state": ({},), "forwardedProps": ({"model": "x"}, {}),
        }  # fmt: skip
        return "/ag-ui", {**body, "messages": self._pick([asked], [asked, result], []), **self._values.some(fields)}

    def _mcp(self) -> tuple[str, Any]:
        name, arguments = self._pick(*TOOLS)
        params = self._pick(
            {"name": name, "arguments": arguments, "_meta": {"progressToken": self._pick(1, "p", {})}},
            {"name": "agent.run", "arguments": {"message": "Hi"}},
            {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "x"}},
            {"requestId": self._pick(1, "x", None)},
        )
        method = self._pick("initialize", "ping", "tools/list", "tools/call", "notifications/cancelled", "x")
        return "/mcp", {"jsonrpc": "2.0", "id": self._pick(1, "a"), "method": method, "params": params}

    def _embeddings(self) -> tuple[str, Any]:
        fields = {"encoding_format": ("float", "base64"), "dimensions": (384, 1)}
        return "/v1/embeddings", {
            "model": "default",
            "input": self._pick("Hi", ["a", "b"]),
            **self._values.some(fields),
        }

    def _named(self) -> tuple[str, Any]:
        """Return a path that names a response, a chat or a run, without a body."""
        response = f"/v1/responses/{quote(self._name('resp_'))}"
        after = self._pick(-1, 0, 5, 2**31, 2**63)
        return (
            self._pick(
                response, f"{response}/input_items?limit=3&order=asc", f"{response}/cancel",
                f"{response}?stream=true&starting_after={after}", f"/ai/chat/{quote(self._pick(*NAMES))}/stream",
                f"/ai/chat/{quote(self._pick(*NAMES))}/stop", f"/ag-ui/{self._values.id()}/stream?thread=t&run=r",
            ),
            None,
        )  # fmt: skip
