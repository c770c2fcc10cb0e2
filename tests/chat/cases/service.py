"""A service of the network whose answers are given byte by byte, and which may be strict about what it takes."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

Json = dict[str, Any]
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ID = re.compile(r"[a-zA-Z0-9]{9}")
LENGTH = "maximum context length"


class CaseService:
    """Plays the answers of one case in order, the last one again and again, and refuses what `strict` forbids."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[Json] = []
        self._answers: Sequence[Json] = ()
        self._models: Json = {}
        self._strict: Json = {}

    def play(self, answers: Sequence[Json], *, models: Json | None = None, strict: Json | None = None) -> None:
        self.bodies = []
        self._answers, self._models, self._strict = answers, models or {}, strict or {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head.lower())
            body = await reader.readexactly(int(length[1]) if length else 0)
            if head.startswith("GET"):
                await _send(self._models, writer)
                return
            given = json.loads(body)
            if problem := refusal_of(given, self._strict):
                error = json.dumps({"error": {"message": problem, "type": "invalid_request_error"}})
                refused = {"status": 400, "headers": [["Content-Type", "application/json"]], "steps": [{"send": error}]}
                await _send(refused, writer)
                return
            self.bodies.append(given)
            await _send(self._answers[min(len(self.bodies), len(self._answers)) - 1], writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def case_service() -> AsyncIterator[CaseService]:
    fake = CaseService()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, limit=2**20)
    async with server:
        fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield fake


def sent(step: Json) -> bytes:
    """Return the bytes of a step that sends something."""
    data = step["send"]
    return data.encode() if isinstance(data, str) else base64.b64decode(data["b64"])


async def _send(answer: Json, writer: asyncio.StreamWriter) -> None:
    lines = [f"HTTP/1.1 {answer.get('status', 200)} X"]
    headers = answer.get("headers") or [["Content-Type", "text/event-stream"]]
    chunked = answer.get("framing") == "chunked"
    headers = [*headers, ["Transfer-Encoding", "chunked"] if chunked else ["Connection", "close"]]
    writer.write("\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode())
    for step in answer.get("steps", ()):
        if "send" in step:
            data = sent(step)
            writer.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            await writer.drain()
        elif "sleep_ms" in step:
            # A turn of the event loop is enough for the service under test to read what was sent.
            await asyncio.sleep(0)
    if chunked:
        writer.write(b"0\r\n\r\n")


def refusal_of(body: Json, strict: Json) -> str:
    """Return what a strict service has against a request, or an empty string."""
    messages = body["messages"]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    roles = [message["role"] for message in messages if message["role"] not in {"system", "tool"}]
    answers = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    problems = {
        "arguments": any(not isinstance(_json(call), dict) for call in calls),
        "name": not all(NAME.fullmatch(call["function"]["name"]) for call in calls),
        "tool_id": not all(ID.fullmatch(call["id"]) for call in calls),
        "reasoning": not all(message.get("reasoning_content") for message in messages if message.get("tool_calls")),
        "signature": not all(call.get("extra_content") for call in calls),
        "unique": len({call["id"] for call in calls}) < len(calls),
        "answers": [call["id"] for call in calls] != answers,
        "alternate": any(first == second for first, second in pairwise(roles)),
        LENGTH: len(str(messages)) > strict.get("chars", len(str(messages))),
    }
    return next((f"{name} is wrong" for name, wrong in problems.items() if wrong and name in {*strict, LENGTH}), "")


def _json(call: Json) -> Any:
    try:
        return json.loads(call["function"]["arguments"])
    except (TypeError, ValueError):
        return None
