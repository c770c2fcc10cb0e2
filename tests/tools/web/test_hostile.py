"""URLs, names and redirects that would lead a fetch inside. The servers inside must not get a single connection.

Covers `tools.web.connector`, `tools.web.fetching` and `tools.web.urls`.
"""

import socket

import pytest

from tests.tools.web.conftest import MakeFetcher
from tests.tools.web.web_server import PUBLIC, Names, Site, answer, redirect
from tools.base import ToolError
from tools.web.connector import Guard, RefusedAddressError, is_own, is_public_elsewhere
from tools.web.fetching import Fetcher, FetchLimits
from tools.web.urls import AllowedHosts, parse_url, redirected

pytestmark = pytest.mark.usefixtures("inside")

# PORT is that of the servers inside.
URLS = [
    # IPv4 as people and parsers write it
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0x7F.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://0177.0x0.0.1:PORT/",
    "http://127.0.0.01:PORT/",
    "http://127.000.000.001:PORT/",
    "http://127.0.0.1%20:PORT/",
    "http://127.0.0.1%00.example.org:PORT/",
    "http://127.0.0.256:PORT/",
    "http://4294967297:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://127.127.127.127:PORT/",
    "http://\uff11\uff12\uff17.0.0.1:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://127\uff0e0\uff0e0\uff0e1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127.0.0.1\u00ad:PORT/",
    "http://1\u200b27.0.0.1:PORT/",
    # IPv6
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[0000::0001]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b:1::127.0.0.1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::1]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[::1%25lo]:PORT/",
    "http://[::1%lo]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd00:ec2::254]:PORT/",
    "http://[v1.::1]:PORT/",
    "http://[::1:PORT/",
    "http://::1:PORT/",
    # metadata services and private networks
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://metadata.google.internal/",
    "http://10.0.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    # names
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://a.localhost:PORT/",
    "http://ⓛocalhost:PORT/",
    "http://localhost.localdomain:PORT/",
    "http://printer.local:PORT/",
    "http://intranet:PORT/",
    "http://a..b:PORT/",
    "http://.example.org:PORT/",
    "http://-a.example.org:PORT/",
    f"http://{'a' * 64}.example.org:PORT/",
    f"http://{'a.' * 130}org:PORT/",
    # users, confusing separators, controls
    "http://www.example.org@127.0.0.1:PORT/",
    "http://user:pass@www.example.org:PORT/",
    "http://@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@www.example.org/",
    "http://127.0.0.1:PORT\\@www.example.org/",
    "http://www.example.org\\.127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "127.0.0.1:PORT/",
    " http://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/\r\nHost: www.example.org",
    "ht\ttp://127.0.0.1:PORT/",
    "http://127.0.0.1\t:PORT/",
    "http://127.0.0.1:PORT/\0",
    "http://www.example.org:PORT/a b",
    # schemes and ports
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "ftp://127.0.0.1:PORT/",
    "gopher://127.0.0.1:PORT/_",
    "dict://127.0.0.1:PORT/",
    "ldap://127.0.0.1:PORT/",
    "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/",
    "jar:http://127.0.0.1:PORT/",
    "data:text/html,x",
    "javascript:alert(1)",
    "ws://127.0.0.1:PORT/",
    "http://www.example.org:22/",
    "http://www.example.org:0/",
    "http://www.example.org:65536/",
    "http://www.example.org:-1/",
    "http://www.example.org:80:PORT/",
    "http://www.example.org:\uff18\uff1080/",
    "",
    "http://",
    "http://#",
    "http://?",
    f"http://www.example.org/{'a' * 2_000}",
]

# What a name may resolve to, instead of a public address.
ANSWERS = {
    "loopback": ["127.0.0.1"],
    "loopback6": ["::1"],
    "mixed": ["93.184.216.34", "127.0.0.1"],
    "mixed-first": ["127.0.0.1", "93.184.216.34"],
    "permitted-and-inside": [PUBLIC, "127.0.0.1"],
    "public4-private6": ["93.184.216.34", "fd00::1"],
    "public6-private4": ["2606:2800:220:1::1", "10.0.0.1"],
    "mapped": ["::ffff:127.0.0.1"],
    "compatible": ["::127.0.0.1"],
    "nat64": ["64:ff9b::7f00:1"],
    "sixtofour": ["2002:7f00:1::"],
    "teredo": ["2001:0:7f00:1::1"],
    "metadata": ["169.254.169.254"],
    "metadata6": ["fd00:ec2::254"],
    "scoped": ["fe80::1%lo"],
    "any": ["0.0.0.0"],
    "any6": ["::"],
    "shared": ["100.64.0.1"],
    "path": ["/run/docker.sock"],
    "empty": [],
    "nonsense": ["localhost"],
    "many": ["93.184.216.34"] * 50 + ["127.0.0.1"],
}

LOCATIONS = [
    *(url for url in URLS if url.startswith(("http://", "file:", "ftp:", "unix:", "data:")) and "\n" not in url),
    "//127.0.0.1:PORT/",
    "//user@www.example.org:PORT/",
    "\\\\127.0.0.1:PORT/",
    "/\\127.0.0.1:PORT/",
    "http://other.example.org:PORT/",
    "https://169.254.169.254/",
    "http://www.example.org:22/",
    "//[::1]:PORT/",
    "http:////127.0.0.1:PORT/",
]


@pytest.mark.parametrize("url", URLS)
async def test_url_that_leads_inside_is_refused(url: str, public: Site, fetcher: MakeFetcher) -> None:
    with pytest.raises(ToolError) as raised:
        await fetcher().fetch(url.replace("PORT", str(public.port)))
    assert raised.value.code in {"invalid_params", "not_allowed"}
    assert "pass" not in str(raised.value).replace("password", "")
    assert public.requests == []


@pytest.mark.parametrize("kind", ANSWERS)
async def test_name_that_resolves_to_the_inside_is_refused(kind: str, public: Site, fetcher: MakeFetcher) -> None:
    with pytest.raises(ToolError) as raised:
        await fetcher({"evil.example.org": [ANSWERS[kind]]}).fetch(f"http://evil.example.org:{public.port}/")
    assert raised.value.code == ("failed" if kind == "empty" else "not_allowed")
    assert public.connections == 0


@pytest.mark.parametrize("location", LOCATIONS)
async def test_redirect_that_leads_inside_is_not_followed(location: str, public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = redirect(location.replace("PORT", str(public.port)).encode().decode("latin-1"))
    names = Names({"www.example.org": [[PUBLIC]], "other.example.org": [["127.0.0.1"]]})
    with pytest.raises(ToolError):
        await fetcher(names).fetch(f"http://www.example.org:{public.port}/")
    # An empty location means the same page again, until there were too many redirects.
    assert public.paths[:2] == ["/robots.txt", "/"]


async def test_redirect_chain_ends_at_the_first_hop_that_leads_inside(public: Site, fetcher: MakeFetcher) -> None:
    public.pages.update({"/": redirect("/1"), "/1": redirect("2"), "/2": redirect(f"http://127.0.0.1:{public.port}/")})
    with pytest.raises(ToolError, match="is refused"):
        await fetcher().fetch(f"http://www.example.org:{public.port}/")
    assert public.paths == ["/robots.txt", "/", "/1", "/2"]


async def test_name_that_changes_between_two_requests_is_checked_again(public: Site, fetcher: MakeFetcher) -> None:
    # robots.txt and the page are two connections, and so is each redirect.
    public.pages["/"] = redirect("/next")
    for good in (1, 2):
        names = Names({"www.example.org": [[PUBLIC]] * good + [["127.0.0.1"]]})
        with pytest.raises(ToolError, match="not public"):
            await fetcher(names).fetch(f"http://www.example.org:{public.port}/")
        assert len(names.asked) == good + 1


async def test_each_connection_resolves_the_name_once(public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = answer(b"x")
    names = Names({"www.example.org": [[PUBLIC]]})
    await fetcher(names).fetch(f"http://www.example.org:{public.port}/")
    assert (names.asked, public.connections) == (["www.example.org"] * 2, 2)


async def test_socket_is_refused_for_an_address_that_no_resolver_has_checked() -> None:
    guard = Guard(Names({}).resolve, is_public_elsewhere)
    refused = [
        (socket.AF_INET, ("127.0.0.1", 80)),
        (socket.AF_INET6, ("::1", 80, 0, 0)),
        (socket.AF_INET6, ("::ffff:127.0.0.1", 80, 0, 0)),
        (socket.AF_UNIX, "/run/docker.sock"),
        (socket.AF_UNIX, ("93.184.216.34", 80)),
    ]
    for family, address in refused:
        with pytest.raises(RefusedAddressError):
            guard.socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))
    assert guard.has_refused


def test_addresses_of_this_machine_are_its_own() -> None:
    assert is_own("127.0.0.1")
    assert not is_own("192.0.2.1")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
async def test_proxy_of_the_environment_is_not_used(
    name: str, public: Site, fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{public.port}")
    public.pages["/"] = answer(b"x")
    fetched = await fetcher().fetch(f"http://www.example.org:{public.port}/")
    assert fetched.data == b"x"


async def test_service_refuses_loopback_whatever_hosts_are_allowed(public: Site) -> None:
    names = Names({"www.example.org": [["127.0.0.1"]]})
    hosts = AllowedHosts((("*", None), ("*", public.port)))
    service = Fetcher(hosts, FetchLimits(), resolve=names.resolve)
    for url in ("http://www.example.org", "http://127.0.0.1", f"http://{PUBLIC}"):
        with pytest.raises(ToolError):
            await service.fetch(f"{url}:{public.port}/")
    assert public.connections == 0


@pytest.mark.parametrize("location", ["http://example.org/", "HTTP://EXAMPLE.ORG/x"])
def test_redirect_from_https_to_http_is_refused(location: str) -> None:
    url = parse_url("https://example.org/", AllowedHosts())
    with pytest.raises(ToolError, match="redirects from https to http, which is not followed"):
        redirected(url, location, AllowedHosts())
    # Without a scheme, that of the page stays.
    assert redirected(url, "//example.org/x", AllowedHosts()).scheme == "https"
