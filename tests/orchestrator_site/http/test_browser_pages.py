"""Headers of the HTML pages, and a browser's use of them."""

import http.client
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from django.contrib.auth.models import User

from chat.providers.scripted import Scripted
from orchestrator_site.http.browser_pages import HEADERS, POLICY
from storage.reader import read
from tests.conftest import Start
from tests.managing import managed
from tests.orchestrator_site.test_serve import address, serving

pytestmark = pytest.mark.slow

PAGES = ("/", "/docs", "/openapi.json", "/admin/", "/admin/login/", "/admin/nothing/", "/static/admin/css/base.css")
PASSWORD = "correct horse battery"


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_each_security_header_once(start: Start, path: str) -> None:
    api = await start(Scripted())
    answer = await api.call("GET", path, allow_redirects=False)
    for name, value in HEADERS:
        assert answer.headers.getall(name.decode()) == [value.decode()]


async def test_api_responses_forbid_content_type_sniffing(start: Start) -> None:
    api = await start(Scripted())
    for path in ("/healthz", "/tools", "/nothing", "/metrics"):
        assert (await api.call("GET", path)).headers["X-Content-Type-Options"] == "nosniff"


class Inline(HTMLParser):
    """A parser that collects everything that the content security policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._tag = tag if tag == "style" or (tag == "script" and given.get("type", "module") == "module") else ""
        named = [given.get(name) or "" for name in ("src", "href", "action")]
        self.found += [name for name in given if name.startswith("on") or name == "style"]
        self.found += [url for url in named if re.match(r"\w+:|//", url) and tag in {"script", "link", "img", "form"}]

    def handle_data(self, data: str) -> None:
        if self._tag and data.strip():
            self.found.append(data)


async def test_no_page_has_inline_or_external_content(start: Start) -> None:
    api = await start(Scripted())
    await read(make_operator)
    async with aiohttp.ClientSession(api.base_url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        await sign_in(browser)
        for path in (
            "/",
            "/docs",
            "/admin/",
            "/admin/chat/run/",
            "/admin/tools/toolexecution/",
            "/admin/auth/user/add/",
        ):
            async with browser.get(path) as answer:
                assert answer.status == 200, path
                page = Inline()
                page.feed(await answer.text())
                assert page.found == [], path
    assert b"unsafe" not in POLICY


async def test_console_rejects_forms_without_a_csrf_token(start: Start) -> None:
    api = await start(Scripted())
    await read(make_operator)
    async with aiohttp.ClientSession(api.base_url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        form = {"username": "op", "password": PASSWORD, "next": "/admin/"}
        async with browser.post("/admin/login/", data=form) as answer:
            assert answer.status == 403
        await sign_in(browser)
        async with browser.post("/admin/logout/") as answer:
            assert answer.status == 403


def make_operator() -> None:
    User.objects.create_superuser("op", password=PASSWORD)


async def sign_in(browser: aiohttp.ClientSession) -> None:
    """Sign the operator in through the form."""
    async with browser.get("/admin/login/") as answer:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', await answer.text())
        cookie = answer.headers["Set-Cookie"]
    assert token
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    form = {"username": "op", "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    async with browser.post("/admin/login/", data=form) as answer:
        assert (answer.status, "Log out" in await answer.text()) == (200, True)


@contextmanager
def behind_https(folder: Path, **variables: str) -> Iterator[http.client.HTTPConnection]:
    """Connect to a service that a trusted proxy serves as https://chat.example.org."""
    given = {"PUBLIC_URL": "https://chat.example.org", "ALLOWED_HOSTS": "chat.example.org", "API_KEY": "secret"}
    given |= {"TRUSTED_PROXIES": "127.0.0.1", "LOG_LEVEL": "error", **variables}
    with serving(folder, **given) as (output, _):
        connection = http.client.HTTPConnection(address(output).removeprefix("http://"), timeout=20)
        yield connection
        connection.close()


FORWARDED = {"Host": "chat.example.org", "X-Forwarded-Proto": "https"}


def asked(
    connection: http.client.HTTPConnection, method: str, path: str, body: str = "", **headers: str
) -> http.client.HTTPResponse:
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.body = answer.read().decode()
    return answer


def test_behind_https_cookies_are_secure_and_the_console_works(tmp_path: Path) -> None:
    with behind_https(tmp_path) as connection:
        managed(tmp_path, "shell", "-c", f"{MAKE}('op', password={PASSWORD!r})")
        page = asked(connection, "GET", "/admin/login/", **FORWARDED)
        assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
        (given,) = page.headers.get_all("Set-Cookie")
        cookie = SimpleCookie(given)["csrftoken"]
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body)
        assert token
        form = f"username=op&password={PASSWORD.replace(' ', '+')}&csrfmiddlewaretoken={token[1]}&next=/admin/"
        sent = FORWARDED | {"Cookie": f"csrftoken={cookie.value}", "Content-Type": "application/x-www-form-urlencoded"}
        for origin, status in (("https://chat.example.org", 302), ("https://evil.example", 403)):
            answer = asked(connection, "POST", "/admin/login/", form, Origin=origin, **sent)
            assert answer.status == status, origin
            kept = [SimpleCookie(line) for line in answer.headers.get_all("Set-Cookie") or ()]
            assert all(morsel["secure"] for each in kept for morsel in each.values())
            assert any("sessionid" in each for each in kept) == (status == 302)


MAKE = "from django.contrib.auth.models import User; User.objects.create_superuser"


def test_http_is_redirected_to_https_and_only_trusted_proxies_are_believed(tmp_path: Path) -> None:
    with behind_https(tmp_path) as connection:
        answer = asked(connection, "GET", "/admin/login/", Host="chat.example.org", X_Forwarded_Proto="http")
        assert (answer.status, answer.headers["Location"]) == (301, "https://chat.example.org/admin/login/")
    with behind_https(tmp_path, TRUSTED_PROXIES="10.0.0.1") as connection:
        assert asked(connection, "GET", "/admin/login/", **FORWARDED).status == 301


def test_unknown_host_gets_no_pages(tmp_path: Path) -> None:
    with behind_https(tmp_path) as connection:
        for path in PAGES:
            answer = asked(connection, "GET", path, Host="evil.example")
            assert answer.status == 400
            assert "bad_host" in answer.body


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not here")
@pytest.mark.parametrize(("path", "shown"), [("/docs", "operation-tag-content"), ("/admin/login/", 'id="login-form"')])
def test_browser_shows_the_pages_under_the_policy(tmp_path: Path, path: str, shown: str) -> None:
    with serving(tmp_path, LOG_LEVEL="error") as (output, _):
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
        options = [f"--user-data-dir={tmp_path}/browser", "--virtual-time-budget=10000", "--dump-dom"]
        done = subprocess.run(
            [*command, *options, address(output) + path], capture_output=True, text=True, timeout=120, check=True
        )
    assert shown in done.stdout
    refused = [line for line in done.stderr.splitlines() if "Content Security Policy" in line]
    assert refused == []


async def test_attempts_to_log_in_are_limited_for_each_address(
    start: Start, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LOGIN_RATE = "2/minute"
    api = await start(Scripted())
    await api.call("GET", "/admin/login/")
    cookies = {cookie.key: cookie.value for cookie in api.session.cookie_jar}
    form = {"csrfmiddlewaretoken": cookies.get("csrftoken", ""), "username": "root", "password": "guess"}
    statuses = [(await api.call("POST", "/admin/login/", data=form)).status for _ in range(3)]
    assert statuses[2] == 429
    assert 429 not in statuses[:2]
    assert (await api.call("GET", "/admin/login/")).status == 200
    assert "console_login.limited" in caplog.text
