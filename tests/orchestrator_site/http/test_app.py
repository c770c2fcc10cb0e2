"""Every request: the host check, CORS, request ids, health, tools and providers.

Covers `orchestrator_site.health_api`.

Covers `orchestrator_site.http.cors`, `orchestrator_site.http.lifespan`, `orchestrator_site.sockets`.
"""

import asyncio
import logging
from typing import Any

import pytest

from chat.engine.model_port import Finished, ProviderError
from chat.providers.scripted import Scripted, text
from orchestrator_site import health_api
from tests.conftest import Start

STOP = Finished(reason="stop")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"X-Forwarded-For": "1.2.3.4"}, {"Forwarded": "for=1.2.3.4"}],
)
@pytest.mark.parametrize("path", ["/metrics", "/admin/login/", "/docs", "/chat/sessions", "/nothing"])
async def test_without_a_key_requests_from_elsewhere_are_403_everywhere(
    start: Start, headers: dict[str, str], path: str
) -> None:
    api = await start(Scripted())
    answer = await api.call("GET", path, headers=headers)
    assert answer.status == 403
    assert answer.json()["type"] == "error"


async def test_page_of_another_origin_cannot_use_the_service(start: Start) -> None:
    api = await start(Scripted())
    answer = await api.call("POST", "/chat/stream", json={"message": "a"}, headers={"Origin": "https://evil.example"})
    assert (answer.status, answer.json()["code"]) == (403, "bad_origin")
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_form_of_another_origin_names_the_setting_to_change(start: Start, settings: Any) -> None:
    settings.PUBLIC_URL = "https://chat.example.org"
    api = await start(Scripted())
    for path in ("login/", "chat/run/", "tools/toolexecution/1/decide/"):
        answer = await api.call("POST", f"/admin/{path}", data={"a": "b"}, headers={"Origin": "https://localhost:8443"})
        assert (answer.status, answer.json()["code"]) == (403, "bad_origin")
        for said in ("from https://localhost:8443", "PUBLIC_URL is https://chat.example.org", "set PUBLIC_URL="):
            assert said in answer.json()["error"]


async def test_page_of_an_allowed_origin_can_use_the_service(start: Start, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ("https://app.example.com",)
    api = await start(Scripted([text("Hi"), STOP]))
    headers = {"Origin": "https://app.example.com"}
    preflight = await api.call("OPTIONS", "/chat/stream", headers=headers)
    assert preflight.status == 204
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    answer = await api.call("POST", "/chat/stream", json={"message": "a"}, headers=headers)
    assert answer.text == "Hi"
    for reply in (preflight, answer):
        assert reply.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


@pytest.mark.parametrize("path", ["/chat/sessions", "/tools", "/providers"])
async def test_with_a_key_requests_without_it_are_401(start: Start, settings: Any, path: str) -> None:
    settings.API_KEY = "secret"
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    api = await start(Scripted())
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}):
        answer = await api.call("GET", path, headers=headers)
        assert (answer.status, answer.json()["code"]) == (401, "unauthorized")
    assert (await api.call("GET", path, headers={"X-API-Key": "secret"})).status == 200
    assert (await api.call("GET", "/healthz")).status == 200


async def test_every_response_has_its_own_request_id(start: Start) -> None:
    api = await start(Scripted())
    ids = {(await api.call("GET", path)).headers["X-Request-Id"] for path in ("/healthz", "/nothing", "/tools")}
    assert len(ids) == 3


async def test_log_line_names_the_client_the_key_and_the_run(
    start: Start, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings.API_KEY = "a-key-for-this-test"
    api = await start(Scripted([text("Hi"), STOP]))
    headers = {"X-API-Key": settings.API_KEY}
    answer = await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=headers)
    line = next(vars(record) for record in caplog.records if record.message == "request")
    assert (line["path"], line["status"], line["client"]) == ("/chat/stream", 200, "127.0.0.1")
    assert (line["key"], line["run"]) == ("API_KEY", answer.headers["X-Run-Id"])
    assert settings.API_KEY not in str(line)


async def test_healthz_reports_status_providers_and_tools(start: Start) -> None:
    api = await start(Scripted())
    reply = await api.get("/healthz")
    assert (reply["status"], reply["database"], reply["persistence"]) == ("ok", "ok", True)
    assert reply["providers"] == {"scripted": True}
    assert "fs.read" in reply["allowed_tools"]
    assert reply["confinement"]["files"] in {"openat2", "walk"}
    assert reply["active_runs"] == 0


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_probe_under_an_unknown_name_gets_the_status_alone(start: Start, settings: Any, path: str) -> None:
    api = await start(Scripted())
    for settings.API_KEY in ("", "a-key-for-this-test"):
        answer = await api.call("GET", path, headers={"Host": "10.1.2.3:8010", "X-Forwarded-For": "10.9.9.9"})
        assert (answer.status, answer.json()) == (200, {"status": "ok"})


async def test_service_that_drains_is_alive_and_not_ready(start: Start) -> None:
    api = await start(Scripted())
    await api.service.close()
    assert (await api.call("GET", "/livez")).status == 200
    for path in ("/readyz", "/healthz"):
        answer = await api.call("GET", path)
        assert (answer.status, answer.json()["status"]) == (503, "draining")


async def test_probe_does_not_wait_for_a_database_that_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def hang(_: object) -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(health_api, "read", hang)
    monkeypatch.setattr(health_api, "DATABASE_SECONDS", 0.01)
    api = await start(Scripted())
    answers = await asyncio.gather(*(api.call("GET", path) for path in ("/readyz", "/healthz", "/livez", "/readyz")))
    assert [answer.status for answer in answers] == [503, 503, 200, 503]
    assert asked == 1


async def test_probes_that_overtake_each_other_all_get_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: object) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(health_api, "read", answer)
    probe = health_api.DatabaseProbe()

    async def ask(times: int) -> list[bool]:
        return [await probe.answers() for _ in range(times)]

    assert all(map(all, await asyncio.gather(*map(ask, (20, 21, 22, 23)))))


async def test_metrics_are_read_by_address_with_a_key(start: Start, settings: Any) -> None:
    settings.API_KEY = "a-key-for-this-test"
    api = await start(Scripted())
    headers = {"Host": "10.1.2.3:8010"}
    assert (await api.call("GET", "/metrics", headers=headers)).status == 401
    headers["X-API-Key"] = settings.API_KEY
    assert (await api.call("GET", "/metrics", headers=headers)).status == 200
    assert (await api.call("GET", "/tools", headers=headers)).status == 400


async def test_tools_are_listed_with_their_schemas(start: Start) -> None:
    api = await start(Scripted())
    listed = {tool["name"]: tool for tool in (await api.get("/tools"))["items"]}
    assert {"fs.read", "fs.list", "fs.search", "fs.write"} <= set(listed)
    assert listed["fs.read"]["effect"] == "read"
    assert listed["fs.read"]["parameters"]["required"] == ["path"]
    assert listed["fs.write"]["effect"] == "write"


async def test_provider_is_listed_even_if_its_models_cannot_be(start: Start) -> None:
    class Mute(Scripted):
        name = "mute"

        async def models(self) -> tuple[str, ...]:
            raise ProviderError("It does not answer.", code="provider_unavailable", retryable=True)

    api = await start(Scripted(), Mute())
    first, second = (await api.get("/providers"))["items"]
    assert (first["name"], first["default"], first["configured"]) == ("scripted", True, True)
    assert (second["models"], second["reason"]) == (["scripted-1"], "It does not answer.")
