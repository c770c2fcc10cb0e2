"""NUL in requests: PostgreSQL has no such character, so it is rejected or stored as U+FFFD, and never fails."""

import re

import aiohttp
import pytest

from tests.managing import managed
from tests.postgres.conftest import Site

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.slow]

LISTS = ("chat/session", "chat/run", "chat/message", "tools/toolexecution", "speech/speechrequest", "access/apikey")
FILTERS = ("q", "owner", "status", "provider", "model", "tool", "source", "code", "created__on", "session_id", "o", "p")


@pytest.mark.parametrize("name", FILTERS)
async def test_nul_in_a_console_filter_is_400(site: Site, name: str) -> None:
    for path in LISTS:
        assert (await site.call("GET", f"/admin/{path}/?{name}=%00")).status == 400


async def test_nul_in_an_api_query_is_400(site: Site) -> None:
    for path in ("/tools/executions?status=", "/chat/sessions?limit=", "/usage?group_by=", "/usage?since="):
        assert (await site.call("GET", f"{path}%00")).status == 400


async def test_nul_in_a_form_does_not_fail(site: Site) -> None:
    login = (await site.call("GET", "/admin/login/")).body
    token = login.split(b'name="csrfmiddlewaretoken" value="')[1].split(b'"')[0].decode()
    form = {"csrfmiddlewaretoken": token, "username": "a\0b", "password": "c\0d", "next": "/admin/\0"}
    answer = await site.call("POST", "/admin/login/", data=form, headers={"Origin": site.at(0)})
    assert answer.status in {200, 400}


async def test_nul_in_a_decision_does_not_fail(site: Site) -> None:
    managed(site.folder, "shell", "-c", MAKE, DATABASE_URL=site.database)
    call = {"name": "fs.write", "params": {"path": "nul.txt", "content": "a"}}
    async with site.session.post(f"{site.at(0)}/chat/stream", json={"tool_calls": [call]}) as stream:
        head = await stream.content.readuntil(b'"expires_at"')
    (execution_id,) = re.findall(rb'"approval_required".*?"execution_id":"([^"]+)"', head)
    (digest,) = re.findall(rb'"params_sha256":"(\w+)"', head)
    path = f"/tools/executions/{execution_id.decode()}"
    cookies = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(site.at(0), cookie_jar=cookies, headers={"Origin": site.at(0)}) as browser:
        async with browser.get("/admin/login/") as answer:
            token = (await answer.text()).split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        form = {"csrfmiddlewaretoken": token, "username": "nul", "password": "correct horse", "next": "/admin/"}
        async with browser.post("/admin/login/", data=form) as answer:
            assert "Log out" in await answer.text()
        page = f"/admin/tools/toolexecution/{execution_id.decode()}"
        async with browser.get(f"{page}/change/") as answer:
            token = (await answer.text()).split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        form = {"csrfmiddlewaretoken": token, "verdict": "denied", "note": "a\0b"}
        form["params_sha256"] = digest.decode()
        async with browser.post(f"{page}/decide/", data=form) as answer:
            assert answer.status == 200
    execution = await site.get(path)
    assert execution["decision"] == "denied"


MAKE = "from django.contrib.auth.models import User; User.objects.create_superuser('nul', password='correct horse')"
