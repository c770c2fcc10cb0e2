"""Errors as the SDKs of other APIs show them."""

from typing import Any

import pytest

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from chat.runs.live.manager import RunManager
from tests.conftest import Start

OPENAI = {"X-Stainless-Lang": "python"}
AI_SDK = {"User-Agent": "ai/6.0.326 ai-sdk/openai-compatible/2.0.92 runtime/node.js/20"}
INVALID = {"message": "Hi", "max_output_tokens": 0}


@pytest.mark.parametrize("headers", [OPENAI, AI_SDK])
async def test_sdk_of_another_api_gets_an_error_object_with_the_sentence(start: Start, headers: dict[str, str]) -> None:
    api = await start(Scripted([text("Hi"), Finished(reason="stop")]))
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/chat/stream", {"json": INVALID}),
        ("GET", "/nothing", {}),
        ("DELETE", "/tools", {}),
        ("POST", "/docs", {"data": b"a" * 70_000}),
        ("GET", "/tools", {"headers": {"Host": "evil.example"}}),
    ]
    for method, path, options in requests:
        plain = await api.call(method, path, **options)
        adapted = await api.call(method, path, **{**options, "headers": {**options.get("headers", {}), **headers}})
        before, after = plain.json(), adapted.json()
        assert isinstance(before["error"], str)
        assert after["error"] == {"message": before["error"], "type": before["code"], "code": before["code"]}
        assert {**after, "error": before["error"]} == before
        assert (adapted.status, adapted.headers.get("Allow")) == (plain.status, plain.headers.get("Allow"))
    assert (await api.call("GET", "/livez", headers=headers)).json() == {"status": "ok"}
    assert (await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=headers)).text == "Hi"


async def test_long_error_is_whole_for_an_sdk_of_another_api(start: Start) -> None:
    api = await start(Scripted())
    fields = {f"field_{number}": 1 for number in range(2_000)}
    answer = await api.call("POST", "/chat/stream", json={"message": "Hi", **fields}, headers=OPENAI)
    assert answer.status == 422
    assert len(answer.body) > 2 * 65_536
    assert len(answer.json()["detail"]) == len(fields)


async def test_probe_that_fails_keeps_its_shape_for_an_sdk_of_another_api(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await start(Scripted())
    monkeypatch.setattr(RunManager, "is_closing", True)
    answer = await api.call("GET", "/readyz", headers=OPENAI)
    assert (answer.status, answer.json()) == (503, {"status": "draining"})
