"""`/keys`: a caller with the scope creates, lists and revokes keys, and grants at most its own scopes."""

from typing import Any

import pytest

from access.keys.key_format import parse
from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey, revoke
from tests.conftest import Api, Start
from tests.streams import Answer


async def create(api: Api, headers: dict[str, str], **body: Any) -> Answer:
    return await api.call("POST", "/keys", json=body, headers=headers)


async def test_new_key_is_returned_once_then_works_until_it_is_revoked(start: Start, make_key: MakeKey) -> None:
    admin = await make_key("admin", "keys", "chat", "fs.*")
    api = await start(Scripted([text("Hello"), Finished(reason="stop")]))
    answer = await create(
        api, admin.headers, name="ci", scopes=["chat", "fs.read"], expires="30d", budgets=["900000tokens/day"]
    )
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    made = answer.json()
    key = made.pop("key")
    assert made["prefix"] == parse(key.encode()).prefix
    assert (made["scopes"], made["budgets"], made["owner"]) == (
        ["chat", "fs.read"],
        ["900000tokens/day"],
        f"key:{made['id']}",
    )
    own = {"X-API-Key": key}
    assert (await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=own)).text == "Hello"
    assert (await api.call("GET", "/keys", headers=own)).status == 403
    listed = await api.call("GET", "/keys?limit=1", headers=admin.headers)
    assert listed.json() == {"items": [made], "count": 2}
    assert key not in listed.body.decode()
    for _ in range(2):
        assert (await api.call("DELETE", f"/keys/{made['id']}", headers=admin.headers)).status == 204
    assert (await api.call("GET", "/chat/sessions", headers=own)).json()["code"] == "key_revoked"
    (first, _) = (await api.get("/keys", headers=admin.headers))["items"]
    assert first["revoked"] is not None


@pytest.mark.parametrize("scopes", [["audit"], ["chat", "tools"], ["*"], ["fs.*"], None])
async def test_key_can_grant_only_scopes_that_it_has(start: Start, make_key: MakeKey, scopes: list[str] | None) -> None:
    admin = await make_key("admin", "keys", "chat", "fs.r*")
    api = await start()
    answer = await create(api, admin.headers, name="ci", scopes=scopes)
    assert (answer.status, answer.json()["code"]) == (403, "scope")
    assert (await api.get("/keys", headers=admin.headers))["count"] == 1
    assert (await create(api, admin.headers, name="ci", scopes=["fs.read", "fs.r*", "keys"])).status == 201


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "two\nlines"}),
        ("name", {"name": "admin"}),
        ("name", {"name": "a" * 65}),
        ("scopes", {"scopes": ["shout"]}),
        ("scopes", {"scopes": ["fs.raed"]}),
        ("budgets", {"budgets": ["ten"]}),
        ("expires", {"expires": "2020-01-01"}),
        ("expires", {"expires": "soon"}),
        ("rate", {"rate": "lots"}),
        ("max_runs", {"max_runs": 0}),
        ("max_runs", {"max_runs": "many"}),
        ("user", {"user": "alice"}),
        (
            "name scopes expires rate budgets",
            {"name": "", "scopes": ["shout"], "expires": "soon", "rate": "lots", "budgets": ["ten"]},
        ),
    ],
)
async def test_each_invalid_field_is_named(start: Start, make_key: MakeKey, field: str, body: dict[str, Any]) -> None:
    admin = await make_key("admin", "keys", "chat", "tools", "approve", "speech", "files.read", "files.write")
    api = await start()
    answer = await create(api, admin.headers, **{"name": "ci", **body})
    assert answer.status == 422
    refusal = answer.json()
    assert [detail["field"] for detail in refusal["detail"]] == field.split()
    assert refusal["error"].isprintable()


async def test_first_key_is_created_on_this_machine_and_ends_open_access(start: Start) -> None:
    api = await start()
    key = (await create(api, {}, name="first")).json()["key"]
    assert (await api.call("GET", "/chat/sessions")).status == 401
    assert (await api.call("GET", "/chat/sessions", headers={"X-API-Key": key})).status == 200


@pytest.mark.parametrize("limit", [{"expires": "1h"}, {"rate": "20/hour"}, {"max_runs": 1}, {"budgets": ("30tokens",)}])
async def test_key_with_a_limit_creates_no_keys(start: Start, make_key: MakeKey, limit: dict[str, Any]) -> None:
    admin = await make_key("admin", "keys", "chat", **limit)
    api = await start()
    answer = await create(api, admin.headers, name="free", scopes=["chat", "keys"])
    assert (answer.status, answer.json()["code"]) == (403, "limited_key")
    assert (await api.call("GET", "/keys", headers=admin.headers)).json()["count"] == 1


async def test_keys_are_revoked_with_the_key_that_made_them(start: Start, make_key: MakeKey) -> None:
    admin = await make_key("admin", "keys", "chat")
    api = await start()
    made = (await create(api, admin.headers, name="child", scopes=["chat", "keys"])).json()
    child = {"X-API-Key": made["key"]}
    grandchild = (await create(api, child, name="grandchild", scopes=["chat"])).json()
    assert grandchild["made_by"] == made["id"]
    await revoke(admin)
    for key in (made["key"], grandchild["key"]):
        answer = await api.call("GET", "/chat/sessions", headers={"X-API-Key": key})
        assert (answer.status, answer.json()["code"]) == (401, "key_revoked")
