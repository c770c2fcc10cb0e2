"""Error responses of `POST /chat/stream` and the endpoints beside it.

Covers `chat.api.errors`, `chat.api.images`, `chat.history.pictures`, `chat.api.request_schemas`, `chat.api.schemas`,
`web.schemas`.

Covers `web.validation` and `orchestrator_site.http.strict_parser`.
"""

import base64
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from tests.conftest import Start

JSON = {"Content-Type": "application/json"}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 16).decode()
NOBODYS = UUID(int=1)


def assert_error(answer: Any, status: int, code: str) -> None:
    assert answer.status == status
    body = answer.json()
    assert (body["type"], body["code"]) == ("error", code)
    assert body["error"]
    assert isinstance(body["detail"], list)
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b"\xff\xfe{}",
        b'{"message": "\xff"}',
        b'{"message": "\\ud800"}',
        b'{"message": "a\\u0000b"}',
        b'{"message": "a\x00b"}',
        b'{"message": "a", "message": "b"}',
        b'{"metadata": {"a": {"b": 1, "b": 2}}, "message": "a"}',
        b'{"message": "a", "temperature": NaN}',
        b'{"message": "a", "temperature": Infinity}',
        b'{"message": "a", "temperature": 1e999}',
        b'{"message": "a", "max_output_tokens": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        '{"message": "a"}'.encode("utf-16"),
    ],
)
async def test_invalid_json_is_400(start: Start, body: bytes) -> None:
    api = await start(Scripted())
    assert_error(await api.call("POST", "/chat/stream", data=body, headers=JSON), 400, "invalid_json")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_body_that_is_not_declared_as_json_is_415(start: Start, kind: str) -> None:
    api = await start(Scripted())
    answer = await api.call("POST", "/chat/stream", data=b'{"message": "a"}', headers={"Content-Type": kind})
    assert_error(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": 7}, "message"),
        ({"message": None}, "message"),
        ({"message": "a", "mesage": "b"}, "mesage"),
        ({"message": "a", "session_id": "x"}, "session_id"),
        ({"message": "a", "model": "a\r\nb"}, "model"),
        ({"message": "a", "model": "a" * 300}, "model"),
        ({"message": "a", "temperature": 3}, "temperature"),
        ({"message": "a", "temperature": "warm"}, "temperature"),
        ({"message": "a", "max_output_tokens": 0}, "max_output_tokens"),
        ({"message": "a", "on_disconnect": "explode"}, "on_disconnect"),
        ({"message": "a", "user": "u" * 256}, "user"),
        ({"message": "a", "metadata": {"a": "b" * 20_000}}, "metadata"),
        ({"message": "a", "metadata": []}, "metadata"),
        ({"tool_calls": [{"name": "fs.read"}] * 33}, "tool_calls"),
        ({"tool_calls": [{"params": {}}]}, "tool_calls.0.name"),
        ({"tool_calls": [{"name": "fs.read", "params": []}]}, "tool_calls.0.params"),
        ({"message": "a", "attachments": [{}]}, "attachments.0"),
        ({"message": "a", "attachments": [{"data_base64": PNG}]}, "attachments.0"),
        ({"message": "a", "attachments": [{"media_type": "text/html", "data_base64": PNG}]}, "attachments.0"),
    ],
)
async def test_invalid_field_is_422_and_named(start: Start, fields: dict[str, Any], named: str) -> None:
    api = await start(Scripted())
    answer = await api.ask(fields)
    assert_error(answer, 422, "invalid_field")
    assert named in json.dumps(answer.json())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"message": "a", "provider": "nope"}, "unknown_provider"),
        ({"tool_calls": [{"name": "fs.list"}], "provider": "nope"}, "unknown_provider"),
        ({"message": "a", "attachments": [{"media_type": "image/png", "data_base64": "!"}]}, "invalid_attachment"),
        ({"message": "a", "attachments": [{"media_type": "image/png", "data_base64": "aGk="}]}, "invalid_attachment"),
        ({"message": "a", "attachments": [{"path": "../secret.png"}]}, "outside_workspace"),
        ({"message": "a", "attachments": [{"path": "none.png"}]}, "not_found"),
    ],
)
async def test_unknown_provider_tool_or_option_is_422(start: Start, fields: dict[str, Any], code: str) -> None:
    api = await start(Scripted())
    assert_error(await api.ask(fields), 422, code)


async def test_image_for_a_provider_without_image_support_is_422(start: Start) -> None:
    class Blind(Scripted):
        supports_images = False

    api = await start(Blind())
    answer = await api.ask(message="a", attachments=[{"media_type": "image/png", "data_base64": PNG}])
    assert_error(answer, 422, "images_unsupported")


async def test_image_reaches_the_model_in_this_turn_and_the_next(start: Start) -> None:
    model = Scripted([text("A cat."), Finished(reason="stop")], [text("Yes."), Finished(reason="stop")])
    api = await start(model)
    answer = await api.ask(message="What?", attachments=[{"media_type": "image/png", "data_base64": PNG}])
    await api.ask(message="Sure?", session_id=answer.headers["X-Session-Id"])
    for request in model.requests:
        (image,) = request.messages[0].images
        assert (image.media_type, image.data) == ("image/png", base64.b64decode(PNG))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_unsupported_method_is_405_with_allow(start: Start, method: str) -> None:
    api = await start(Scripted())
    answer = await api.call(method, "/chat/stream")
    assert_error(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/chat",
        "/chat/runs/not-a-uuid",
        f"/chat/runs/{NOBODYS}",
        f"/chat/runs/{NOBODYS}/stream",
        f"/chat/sessions/{NOBODYS}",
        f"/chat/sessions/{NOBODYS}/messages",
    ],
)
async def test_unknown_path_is_404(start: Start, path: str) -> None:
    api = await start(Scripted())
    assert_error(await api.call("GET", path), 404, "not_found")


async def test_unknown_session_is_404(start: Start) -> None:
    api = await start(Scripted())
    assert_error(await api.ask(message="a", session_id=str(uuid4())), 404, "not_found")


async def test_body_over_the_limit_is_413(start: Start, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 2_000
    api = await start(Scripted())
    assert_error(await api.ask(message="a" * 3_000), 413, "body_too_large")

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1_000

    answer = await api.call("POST", "/chat/stream", data=endless(), headers=JSON)
    assert_error(answer, 413, "body_too_large")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "offset=-1", "offset=99999999999"])
async def test_paging_out_of_bounds_is_422(start: Start, query: str) -> None:
    api = await start(Scripted())
    answer = await api.call("GET", f"/chat/sessions?{query}")
    assert_error(answer, 422, "invalid_field")
    assert answer.json()["detail"][0]["field"] == query.split("=", maxsplit=1)[0]


@pytest.mark.parametrize("header", ["-1", "x", "1.5", "9" * 30, "²"])
async def test_cursor_that_is_not_a_number_is_422(start: Start, header: str) -> None:
    api = await start(Scripted([text("Hi"), Finished(reason="stop")]))
    path = (await api.ask(message="a")).headers["Content-Location"]
    answer = await api.call("GET", path, headers={"Last-Event-ID": header})
    assert_error(answer, 422, "invalid_cursor")
