"""Answers of services as they really come, through the whole service. Each case says what is right.

`answers.jsonl` has answers with their right outcome; `services.jsonl` has whole exchanges with a service.

Covers `chat.providers.openai.calls`, `chat.providers.openai.own_fields`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.providers.base import Timeouts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from tests.chat.cases.service import CaseService, case_service
from tests.conftest import Api, Start
from tests.streams import Answer
from tools.resources import workspaces

HERE = Path(__file__).parent
Json = dict[str, Any]


def cases(name: str) -> list[Json]:
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def files() -> Iterator[None]:
    made = {"a.txt": "alpha\n", "b.txt": "beta\n"}
    for name, text in made.items():
        (workspaces().root.base / name).write_text(text)
    yield
    for name in made:
        (workspaces().root.base / name).unlink()


async def started(start: Start, fake: CaseService) -> Api:
    timeouts = Timeouts(connect=5, first_byte=5, idle=5)
    return await start(
        OpenAI(Endpoint(name="openai", base_url=fake.url, api_key="sk-of-a-test", default_model="m"), timeouts)
    )


def outcome(answer: Answer) -> Json:
    """Return the outcome of a stream, in the terms of the cases."""
    events = answer.events
    last = events[-1]
    used = last.get("usage") or next((e for e in events if e["type"] == "usage"), {})
    failed = {e["execution_id"] for e in events if e["type"] == "tool_error"}
    calls = [
        {"tool": e["tool"], "params": e["params"], "ok": e["execution_id"] not in failed}
        for e in events
        if e["type"] == "tool_call"
    ]
    return {
        "text": answer.text,
        "end": last.get("reason") or last.get("code"),
        "type": last["type"],
        "error": last.get("error", ""),
        "warning": last.get("warning", ""),
        "calls": calls,
        "usage": used,
    }


# The cases share one service, because starting it costs more than all of them.


async def test_answers_of_services_have_their_meaning(start: Start, settings: Any, files: None) -> None:
    settings.PROVIDER_MAX_RETRIES = 0
    wrong: Json = {}
    async with case_service() as fake:
        api = await started(start, fake)
        for case in cases("answers.jsonl"):
            fake.play(case["turns"])
            answer = await api.ask(message="go")
            found = outcome(answer)
            session = answer.one("start")["session_id"]
            messages = (await api.get(f"/chat/sessions/{session}/messages"))["items"]
            found["reasoning"] = "".join(message["reasoning"] or "" for message in messages)
            expected = {name: value for name, value in case["expect"].items() if name != "why"}
            if usage := expected.pop("usage", None):
                found["usage"] = {name: found["usage"].get(name) for name in usage}
                expected["usage"] = usage
            if different := {name: found[name] for name in expected if found[name] != expected[name]}:
                wrong[case["id"]] = (different, found["error"])
            if case["id"] == "c-only-reasoning":
                assert "no text" in found["warning"]
    assert wrong == {}
    assert not (workspaces().root.base / "made.txt").exists()


async def test_exchanges_with_services_end_as_they_should(start: Start, settings: Any, files: None) -> None:
    settings.PROVIDER_MAX_RETRIES = 0
    wrong: Json = {}
    async with case_service() as fake:
        api = await started(start, fake)
        for case in cases("services.jsonl"):
            fake.play(case.get("upstream") or [done("done")], models=case.get("models"), strict=case.get("strict"))
            session = ""
            for number, request in enumerate(case["requests"]):
                if "path" in request:
                    answer = await api.call("GET", request["path"])
                    found: Json = {"status": answer.status, "body": answer.body.decode()}
                else:
                    answer = await api.ask(json.loads(json.dumps(request["chat"]).replace("{SID}", session)))
                    session = answer.one("start")["session_id"]
                    found = outcome(answer)
                    found |= {"status": answer.status, "end": f"{found['type']}:{found['end']}"}
                    found["tools"] = [[call["tool"], "ok" if call["ok"] else "error"] for call in found["calls"]]
                for name, expected in (case["expect"]["requests"][number] or {}).items():
                    got = found[name.removeprefix("~")]
                    if isinstance(expected, dict):
                        got = {field: got[field] for field in expected}
                    right = re.search(expected, got) is not None if name.startswith("~") else got == expected
                    if not right:
                        wrong[f"{case['id']} {number} {name}"] = (got, found.get("error"))
    assert wrong == {}


def done(text: str) -> Json:
    chunks = [{"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}]
    return {"steps": [{"send": "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"}]}
