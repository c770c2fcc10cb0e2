"""The two tools, with pages from a server on loopback and providers of searches over HTTP.

Covers `tools.builtin.web`, `tools.web.pages`, `tools.web.kept`, `tools.web.search`, `tools.web.web_tools`,
`tools.shared_tools` and `retrieval.worker.web_pages`.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from pytest_django import Settings

from orchestrator_site.environment.variables import Environment, InvalidSetting
from retrieval.worker.process import ReaderProcess
from spending.accounts import Payer
from tests.tools.web.conftest import MakeFetcher
from tests.tools.web.web_server import Site, answer, redirect, site
from tools import conf
from tools.base import Execution, Tool, ToolError
from tools.builtin import web
from tools.policy import PolicyInput, parse
from tools.web.kept import Kept
from tools.web.pages import Pages
from tools.web.search import SearchService, search_provider
from tools.web.urls import AllowedHosts, allowed_hosts
from tools.web.web_tools import web_tools

SECRET = "sk-proj-" + "a1B2" * 12
KEY = "the-key-of-the-provider"


@pytest.fixture(scope="module")
def worker() -> Iterator[ReaderProcess]:
    process = ReaderProcess()
    yield process
    process.close()


@pytest.fixture
def web_reader(public: Site, fetcher: MakeFetcher, worker: ReaderProcess) -> web.Reader:
    hosts = allowed_hosts(f"*,*:{public.port}")
    return web.Reader(pages=Pages(fetcher(), worker), hosts=hosts, has_secret=lambda text: SECRET in text)


async def silent(stream: str, text: str) -> None:
    """Show nothing."""


def executed(owner: str) -> Execution:
    return Execution(payer=Payer(owner=owner), emit=silent)


def fetch_tool(reader: web.Reader) -> Tool:
    return web.tools(reader, SearchService("searxng", "", "", 1.0))[0]


async def call(tool: Tool, owner: str = "alice", **params: Any) -> Any:
    values = tool.params(**params)
    await tool.precheck(values)
    return await tool.run(values, executed(owner))


async def fetched(reader: web.Reader, public: Site, path: str = "/", owner: str = "alice", **params: Any) -> Any:
    return await call(fetch_tool(reader), owner, url=f"http://www.example.org:{public.port}{path}", **params)


PAGE = b"""<!doctype html><title>A &amp; B</title><base href="/base/"><style>x{}</style><script>evil()</script>
<h1>Head</h1><!-- comment --><p hidden>no1</p><p style="display:none">no2</p><p style="visibility: hidden">no3</p>
<p aria-hidden="true">no4</p><noscript>no5</noscript><template>no6</template><svg><text>no7</text></svg>
<p style="opacity:0.5">seen <a href="x?y=1">link</a> <a href="//other.example/z">other</a></p>
<textarea>no8</textarea>"""


async def test_page_becomes_markdown_without_its_hidden_parts(web_reader: web.Reader, public: Site) -> None:
    public.pages["/a"] = answer(PAGE, "text/html")
    page = await fetched(web_reader, public, "/a")
    base = f"http://www.example.org:{public.port}/base/"
    assert page.text == f"# Head\n\nseen [link]({base}x?y=1) [other](http://other.example/z)"
    assert (page.title, page.content_type, page.untrusted, page.robots) == ("A & B", "text/html", True, "no rules")
    assert "never instructions" in page.note
    assert (page.next_offset, page.truncated, len(page.sha256)) == (None, False, 64)


@pytest.mark.parametrize(
    "body",
    [
        b"<div>" * 100_000,
        b"<" * 1_000_000,
        b"<b>" * 200_000,
        b"<table>" * 20_000,
        b"<table>" + b"<tr><td>x" * 100_000,
        b"<ul><li>" * 30_000,
        b"<!--" * 200_000,
        b"<a href=x>" * 100_000,
        b"<blockquote>" * 30_000,
        b"<p style='" + b"opacity:0;" * 100_000,
        b"<table><tr><td colspan=1000000 rowspan=1000000>x",
        b"&" * 1_000_000,
        b"<title>" * 100_000,
        b"<b><i><u><p>" * 20_000,
        b"[](" * 300_000,
    ],
)
async def test_hostile_html_ends_as_a_text_or_an_error(body: bytes, web_reader: web.Reader, public: Site) -> None:
    public.pages["/"] = answer(body, "text/html")
    # Some of them are refused as too complex.
    with suppress(ToolError):
        assert len((await fetched(web_reader, public, limit=1_000)).text) <= 1_000
    public.pages["/after"] = answer(b"<p>fine</p>", "text/html")
    assert (await fetched(web_reader, public, "/after")).text == "fine"


@pytest.mark.parametrize("body", [b"", b"%PDF-1.7\n", b"%PDF-1.7\n" + b"1 0 obj<<" * 100_000])
async def test_damaged_pdf_is_a_failure(body: bytes, web_reader: web.Reader, public: Site) -> None:
    public.pages["/"] = answer(body, "application/pdf")
    with pytest.raises(ToolError, match="cannot be read"):
        await fetched(web_reader, public)


async def test_parts_join_to_the_whole_text_with_one_request(web_reader: web.Reader, public: Site) -> None:
    text = "añ€😀" * 1_000
    public.pages["/"] = answer(text.encode(), "text/plain; charset=utf-8")
    joined, offset = "", 0
    while offset is not None:
        page = await fetched(web_reader, public, offset=offset, limit=257)
        assert page.offset == offset
        joined, offset = joined + page.text, page.next_offset
    assert joined == text
    assert public.paths == ["/robots.txt", "/"]
    inside = await fetched(web_reader, public, offset=2, limit=256)
    assert (inside.offset, inside.text[0]) == (3, "€")
    assert (await fetched(web_reader, public, offset=10**9)).text == ""


async def test_owners_share_no_kept_page(web_reader: web.Reader, public: Site) -> None:
    public.pages["/"] = answer(b"x")
    for owner in ("alice", "bob", "alice"):
        await fetched(web_reader, public, owner=owner)
    assert public.paths == ["/robots.txt", "/", "/"]


def test_store_is_bounded_in_number_size_and_time() -> None:
    now = [0.0]
    kept: Kept[str] = Kept(max_values=2, max_bytes=10, seconds=5, clock=lambda: now[0])
    for name in "abc":
        kept.put((name, ""), name, 4)
    assert [kept.get((name, "")) for name in "abc"] == [None, "b", "c"]
    kept.put(("d", ""), "d", 7)
    assert [kept.get((name, "")) for name in "bcd"] == [None, None, "d"]
    kept.put(("e", ""), "e", 11)
    assert (kept.get(("e", "")), kept.get(("d", ""))) == (None, "d")
    now[0] = 5.0
    assert kept.get(("d", "")) is None


@pytest.mark.parametrize("path", ["/?key={}", "/{}", "/#{}x", "/?key=%73k-proj-{}"])
async def test_secret_is_not_sent_in_a_url(path: str, web_reader: web.Reader, public: Site) -> None:
    secret = SECRET.removeprefix("sk-proj-") if "%73" in path else SECRET
    if "#" in path:
        # A fragment is not sent.
        public.pages["/"] = answer(b"x")
        assert (await fetched(web_reader, public, path.format(secret))).text == "x"
        return
    with pytest.raises(ToolError, match="secret") as raised:
        await fetched(web_reader, public, path.format(secret))
    assert secret not in str(raised.value)
    assert public.connections == 0


def test_policy_sees_the_host_as_it_is_reached(web_reader: web.Reader) -> None:
    tool = fetch_tool(web_reader)
    policy = parse(
        "allow web.fetch host=docs.example.org; deny web.fetch host=*.corp.example; deny web.fetch url=*secret*"
    )

    def decision(url: str) -> str:
        return policy.decide(
            PolicyInput(tool=tool.name, effect=tool.effect, source="model", facets=tool.facets(tool.params(url=url)))
        )

    assert decision("https://DOCS.example.org./x") == "allow"
    assert decision("https://docs.example.org@evil.example/") == "ask"
    assert decision("https://docs.example.org.evil.example/") == "ask"
    assert decision("https://a.ⒸORP.example/") == "deny"
    assert decision("https://www.example.org/%73ecret") == "deny"
    assert decision("https://www.example.org/a/../secret") == "deny"


async def test_call_that_can_only_fail_asks_for_no_approval(web_reader: web.Reader) -> None:
    tool = fetch_tool(web_reader)
    with pytest.raises(ToolError):
        await tool.precheck(tool.params(url="http://127.0.0.1/"))


async def test_redirect_out_of_the_allowed_hosts_is_refused(public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = redirect("http://elsewhere.example/")
    with pytest.raises(ToolError, match="another host"):
        await fetcher().fetch(f"http://www.example.org:{public.port}/")


@pytest.mark.parametrize(
    "text", ["http://a.example", "a b", "a:0", "a:65536", "a/b", "[::1]", "a:80:80", "*:x", "ü.example"]
)
def test_list_of_hosts_says_what_is_valid(text: str) -> None:
    with pytest.raises(ValueError, match=r"docs\.example\.org"):
        allowed_hosts(text)


def test_hosts_without_a_port_mean_the_default_ports() -> None:
    allowed = allowed_hosts("docs.example.org, *.example.net:8443")
    asked = [("docs.example.org", 443), ("docs.example.org", 8443), ("a.example.net", 8443), ("a.example.net", 443)]
    assert [allowed.allow(host, port) for host, port in asked] == [True, False, True, False]
    assert AllowedHosts().allow("any.example", 80)
    assert not AllowedHosts().allow("any.example", 8080)


ANSWERS = {
    "searxng": {"results": [{"title": "T", "url": "https://a.example/", "content": "S"}]},
    "brave": {"web": {"results": [{"title": "T", "url": "https://a.example/", "description": "S"}]}},
    "tavily": {"results": [{"title": "T", "url": "https://a.example/", "content": "S"}]},
}
PATHS = {
    "searxng": "/search?q=two+%26+words&format=json",
    "brave": "/res/v1/web/search?q=two+%26+words&count=3&text_decorations=false",
    "tavily": "/search",
}
HEADERS = {
    "searxng": f"Authorization: Bearer {KEY}",
    "brave": f"X-Subscription-Token: {KEY}",
    "tavily": f"Authorization: Bearer {KEY}",
}


@pytest.fixture
async def vendor() -> AsyncIterator[Site]:
    async with site("127.0.0.1") as made:
        yield made


@pytest.fixture(params=ANSWERS)
def provider(request: pytest.FixtureRequest) -> Any:
    return request.param


def service(provider: Any, vendor: Site, seconds: float = 5.0) -> SearchService:
    return SearchService(provider, f"http://127.0.0.1:{vendor.port}", KEY, seconds)


async def searched(reader: web.Reader, found: SearchService, **params: Any) -> Any:
    return await call(web.tools(reader, found)[1], **params)


async def test_search_returns_what_the_provider_found(provider: str, vendor: Site, web_reader: web.Reader) -> None:
    vendor.pages[PATHS[provider]] = answer(json.dumps(ANSWERS[provider]).encode(), "application/json")
    found = await searched(web_reader, service(provider, vendor), query="two & words", count=3)
    assert [(one.title, one.url, one.snippet) for one in found.results] == [("T", "https://a.example/", "S")]
    assert (found.provider, found.untrusted) == (provider, True)
    assert HEADERS[provider] in vendor.requests[0]
    assert KEY not in vendor.requests[0].split("\r\n", 1)[0]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (answer(b"bad key " + KEY.encode(), status="401 Unauthorized"), "denied"),
        (answer(status="403 Forbidden"), "denied"),
        (answer(status="422 Unprocessable"), "invalid_params"),
        (answer(status="429 Too Many Requests", Retry_After="9"), "failed"),
        (answer(status="500 Internal Server Error"), "failed"),
        (redirect("https://elsewhere.example/"), "failed"),
        (answer(b"{"), "failed"),
        (answer(b"[1]"), "failed"),
        (answer(b"null"), "failed"),
        (answer(b'{"results": 1, "web": 1}'), "failed"),
        (answer(b'{"results": [1], "web": {"results": [1]}}'), "failed"),
        (answer(b"[" * 100_000), "failed"),
        (answer(b"\xff\xfe"), "failed"),
        (answer(b" " * 3_000_000), "failed"),
        (b"", "failed"),
    ],
)
async def test_failed_search_never_shows_the_key(
    provider: str, vendor: Site, web_reader: web.Reader, caplog: pytest.LogCaptureFixture, *, sent: bytes, code: str
) -> None:
    caplog.set_level(logging.DEBUG)
    vendor.pages[PATHS[provider]] = sent
    with pytest.raises(ToolError) as raised:
        await searched(web_reader, service(provider, vendor), query="two & words", count=3)
    assert raised.value.code == code
    assert KEY not in f"{raised.value}{caplog.text}"
    assert "words" not in str(raised.value)


async def test_silent_provider_ends_with_the_time(vendor: Site, web_reader: web.Reader) -> None:
    async def wait(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    vendor.pages[PATHS["tavily"]] = wait
    with pytest.raises(ToolError) as raised:
        await searched(web_reader, service("tavily", vendor, 0.3), query="two & words")
    assert raised.value.code == "timed_out"


async def test_results_without_the_url_of_a_page_are_left_out(vendor: Site, web_reader: web.Reader) -> None:
    urls = [
        "javascript:alert(1)",
        "file:///etc/passwd",
        None,
        5,
        "",
        f"https://a.example/{'x' * 3_000}",
        "https://b.example",
    ]
    results = [{"url": url, "title": 5, "content": "&lt;" * 5_000} for url in urls] * 9
    vendor.pages[PATHS["tavily"]] = answer(json.dumps({"results": results}).encode())
    found = await searched(web_reader, service("tavily", vendor), query="x", count=2)
    assert [one.url for one in found.results] == ["https://b.example"] * 2
    assert all(one.title == "" and len(one.snippet) <= 1_000 for one in found.results)


@pytest.mark.parametrize("query", [" ", f"what is {SECRET}", "\t\n"])
async def test_empty_or_secret_query_is_not_sent(query: str, vendor: Site, web_reader: web.Reader) -> None:
    with pytest.raises(ToolError):
        await searched(web_reader, service("brave", vendor), query=query)
    assert vendor.connections == 0


async def test_half_a_surrogate_pair_is_replaced(vendor: Site, web_reader: web.Reader) -> None:
    vendor.pages["/search"] = answer(json.dumps(ANSWERS["tavily"]).encode())
    assert (await searched(web_reader, service("tavily", vendor), query="a\ud800")).results
    with pytest.raises(ToolError):
        await call(fetch_tool(web_reader), url="http://www.example.org/\ud800")


def reasons() -> dict[str, str]:
    web_tools.cache_clear()
    return {tool.name: tool.disabled for tool in web_tools()}


@pytest.fixture
def unmade() -> Iterator[None]:
    yield
    web_tools.cache_clear()


@pytest.mark.usefixtures("unmade")
def test_tools_are_off_for_a_reason_until_they_are_configured(settings: Settings) -> None:
    assert reasons() == {"web.fetch": "WEB_FETCH is false", "web.search": "WEB_SEARCH is not set"}
    settings.WEB_FETCH, settings.WEB_SEARCH = True, "searxng"
    assert reasons() == {"web.fetch": "", "web.search": "WEB_SEARCH_URL must be set"}
    settings.WEB_SEARCH = "brave"
    assert reasons()["web.search"] == "WEB_SEARCH_API_KEY must be set"
    settings.WEB_SEARCH_API_KEY = KEY
    assert reasons()["web.search"] == ""
    assert {tool.effect for tool in web_tools()} == {"network"}
    assert conf.web().provider == "brave"


def test_name_of_a_provider_says_what_is_valid() -> None:
    assert (search_provider(""), search_provider("Brave")) == (None, "brave")
    with pytest.raises(InvalidSetting, match="searxng, brave, tavily"):
        Environment({"WEB_SEARCH": "google"}).parsed("WEB_SEARCH", search_provider)
