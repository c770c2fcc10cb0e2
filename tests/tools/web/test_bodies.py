"""Answers of hostile and broken servers.

Covers `tools.web.fetching`, `tools.web.contents` and `tools.web.robots`.
"""

import asyncio
import gzip
import zlib

import pytest

from tests.tools.web.conftest import MakeFetcher
from tests.tools.web.web_server import MISSING, PUBLIC, Play, Site, answer, redirect
from tools.base import ToolError
from tools.web.contents import Body, content_type, decoded
from tools.web.fetching import MAX_FETCHES, Fetched

LIMIT = 10_000


async def get(fetcher: MakeFetcher, public: Site, path: str = "/", **limits: float) -> Fetched:
    return await fetcher(max_bytes=LIMIT, **limits).fetch(f"http://www.example.org:{public.port}{path}")


def endless(start: bytes, block: bytes, pause: float = 0.0) -> Play:
    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(pause)

    return play


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "name",
    ["gzip", "deflate", "x-gzip"],
)
async def test_bomb_is_cut_at_the_limit(name: str, public: Site, fetcher: MakeFetcher) -> None:
    bomb = gzip.compress(b"x" * 20_000_000) if "gzip" in name else zlib.compress(b"x" * 20_000_000)
    public.pages["/"] = answer(bomb, Content_Encoding=name)
    fetched = await get(fetcher, public)
    assert (len(fetched.data), fetched.is_truncated) == (LIMIT, True)


async def test_deflate_without_a_header_is_read(public: Site, fetcher: MakeFetcher) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    public.pages["/"] = answer(packer.compress(b"hello") + packer.flush(), Content_Encoding="deflate")
    assert (await get(fetcher, public)).data == b"hello"


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "x" * 1_000, "\xff"])
async def test_encoding_that_was_not_asked_for_is_refused(name: str, public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = answer(gzip.compress(gzip.compress(b"x")), Content_Encoding=name)
    with pytest.raises(ToolError, match="not asked for"):
        await get(fetcher, public)


@pytest.mark.parametrize("name", ["gzip", "deflate"])
async def test_damaged_compression_is_a_failure(name: str, public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = answer(b"\x00not compressed" * 9, Content_Encoding=name)
    with pytest.raises(ToolError, match="damaged"):
        await get(fetcher, public)


def test_no_step_of_decompression_makes_more_than_the_limit() -> None:
    body = Body("gzip", 1_000)
    for byte in gzip.compress(b"y" * 1_000_000):
        body.add(bytes([byte]))
    assert body.data == b"y" * 1_000


async def test_endless_body_is_cut_at_the_limit(public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = endless(CHUNKED, b"400\r\n" + b"z" * 1024 + b"\r\n")
    fetched = await get(fetcher, public)
    assert (len(fetched.data), fetched.is_truncated) == (LIMIT, True)


@pytest.mark.parametrize(
    ("start", "block"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (CHUNKED, b"1\r\nz\r\n"),
        (CHUNKED, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "headers", "one-header", "body", "silent-body", "interim"],
)
async def test_slow_answer_ends_with_the_time(start: bytes, block: bytes, public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = endless(start, block, pause=0.02)
    with pytest.raises(ToolError) as raised:
        await get(fetcher, public, max_seconds=0.5)
    # Many headers are too many before they take too long.
    assert raised.value.code in {"timed_out", "failed"}


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 " + b"O" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        answer(b"short", length=500),
        redirect("/next\r\n evil: 1"),
        answer(status="302 Found"),
        answer(status="204 No Content", kind="image/png"),
        answer(status="500 Internal Server Error"),
        answer(status="304 Not Modified"),
    ],
)
async def test_broken_answer_is_a_failure(sent: bytes, public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = sent
    with pytest.raises(ToolError) as raised:
        await get(fetcher, public)
    # The next line of a folded header is part of it.
    assert raised.value.code == ("invalid_params" if b"evil" in sent else "failed")
    assert "evil" not in str(raised.value)


async def test_missing_page_is_not_found(public: Site, fetcher: MakeFetcher) -> None:
    with pytest.raises(ToolError) as raised:
        await get(fetcher, public)
    assert raised.value.code == "not_found"


async def test_redirects_end_after_five(public: Site, fetcher: MakeFetcher) -> None:
    public.pages.update({f"/{number}": redirect(f"/{number + 1}") for number in range(9)})
    with pytest.raises(ToolError, match="more than 5 times"):
        await get(fetcher, public, "/0")
    assert public.paths == ["/robots.txt", *(f"/{number}" for number in range(6))]


async def test_redirect_to_another_host_names_it_and_is_not_followed(public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = redirect(f"http://other.example.org:{public.port}/x#y")
    with pytest.raises(ToolError, match=rf"Call web.fetch with http://other.example.org:{public.port}/x if"):
        await fetcher({"other.example.org": [[PUBLIC]]}).fetch(f"http://www.example.org:{public.port}/")


async def test_request_has_no_cookie_credential_or_referrer(public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = answer(status="302 Found", Location="/next", Set_Cookie="a=b; Path=/")
    public.pages["/next"] = answer(b"x")
    await get(fetcher, public)
    sent = "".join(public.requests).lower()
    assert not [name for name in ("cookie", "authorization", "referer") if name in sent]
    assert "user-agent: orchestrator-service" in sent


@pytest.mark.parametrize(
    "kind", ["image/png", "application/octet-stream", "application/zip", "video/mp4", "multipart/x"]
)
async def test_type_that_is_no_text_is_refused(kind: str, public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/"] = answer(b"x", kind)
    with pytest.raises(ToolError, match="are not read"):
        await get(fetcher, public)


@pytest.mark.parametrize("kind", ["", "nonsense", "text/plain; charset=\xff", "a/b/c", ";;;", "text/html;charset"])
def test_content_type_without_sense_does_not_fail_otherwise(kind: str) -> None:
    assert content_type(kind).form in {"text", "html"}


def test_binary_content_with_the_type_of_a_page_is_refused() -> None:
    with pytest.raises(ToolError, match="not text"):
        decoded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "", is_html=True)


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("é".encode(), "", "é"),
        ("é".encode("latin-1"), "iso-8859-1", "é"),
        (b"\x80", "iso-8859-1", "€"),
        (b"\xef\xbb\xbf\xc3\xa9", "iso-8859-1", "é"),
        ("é".encode("utf-16"), "", "é"),
        (b'<meta charset="windows-1251">\xff', "", '<meta charset="windows-1251">я'),
        (b'<meta charset="utf-16">x', "", '<meta charset="utf-16">x'),
        (b'<meta charset="windows-1251">\xc3\xa9', "utf-8", '<meta charset="windows-1251">é'),
        (b"\xff\xfe\xff", "utf-8", "\ufffd"),
        (b"caf\xe9", "utf-8", "caf\ufffd"),
        (b"x", "rot13", "x"),
        (b"x", "zip", "x"),
        (b"\\u0041", "unicode_escape", "\\u0041"),
        (b"xn--a", "idna", "xn--a"),
        (b"+AGE-", "utf-7", "+AGE-"),
        (b"x", "\0", "x"),
        (b"x", "u" * 10_000, "x"),
        (b"x", "../../etc/passwd", "x"),
    ],
)
def test_charset_is_taken_from_mark_header_or_meta(data: bytes, charset: str, text: str) -> None:
    assert decoded(data, charset, is_html=True) == text


@pytest.mark.parametrize(
    ("rules", "is_allowed"),
    [
        ("User-agent: *\nDisallow: /\n", False),
        ("User-agent: *\nDisallow: /private\n", True),
        ("User-agent: orchestrator-service\nDisallow: /\n\nUser-agent: *\nAllow: /\n", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: Orchestrator-Service\nAllow: /page\n", True),
        ("User-agent: *\nDisallow: /*ge$\n", False),
        ("<html>not found</html>", True),
        ("\0\xff" * 1_000, True),
        (f"User-agent: *\nDisallow: /{'*a' * 2_000}*b\n", True),
    ],
)
async def test_robots_txt_is_respected(rules: str, is_allowed: bool, public: Site, fetcher: MakeFetcher) -> None:
    public.pages.update({"/robots.txt": answer(rules.encode("latin-1")), "/page": answer(b"x")})
    if is_allowed:
        assert (await get(fetcher, public, "/page")).has_robots
    else:
        with pytest.raises(ToolError, match="does not allow"):
            await get(fetcher, public, "/page")
    assert ("/page" in public.paths) is is_allowed


async def test_robots_txt_is_asked_for_each_hop_but_fetched_once(public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/robots.txt"] = answer(b"User-agent: *\nDisallow: /private\n")
    public.pages["/"] = redirect("/%70rivate")
    made = fetcher()
    for _ in range(2):
        with pytest.raises(ToolError, match="does not allow"):
            await made.fetch(f"http://www.example.org:{public.port}/")
    assert public.paths == ["/robots.txt", "/", "/"]


async def test_robots_txt_of_a_failing_server_allows_nothing(public: Site, fetcher: MakeFetcher) -> None:
    public.pages.update({"/robots.txt": answer(status="503 Busy"), "/": answer(b"x")})
    with pytest.raises(ToolError, match="Try again later"):
        await get(fetcher, public)
    assert public.paths == ["/robots.txt"]


async def test_robots_txt_that_redirects_inside_is_as_if_missing(public: Site, fetcher: MakeFetcher) -> None:
    public.pages.update({"/robots.txt": redirect(f"http://127.0.0.1:{public.port}/"), "/": answer(b"x")})
    assert not (await get(fetcher, public)).has_robots
    public.pages["/robots.txt"] = MISSING
    assert not (await get(fetcher, public)).has_robots


async def test_endless_robots_txt_is_cut(public: Site, fetcher: MakeFetcher) -> None:
    public.pages["/robots.txt"] = endless(CHUNKED, b"400\r\n" + b"User-agent: *\n" * 73 + b"\n\n\r\n")
    public.pages["/"] = answer(b"x")
    assert (await get(fetcher, public)).data == b"x"


async def test_fetches_beyond_the_limit_wait_for_a_place(public: Site, fetcher: MakeFetcher) -> None:
    barrier = asyncio.Barrier(MAX_FETCHES)

    async def together(writer: asyncio.StreamWriter) -> None:
        await barrier.wait()
        writer.write(answer(b"x"))

    public.pages["/"] = together
    made = fetcher()
    await asyncio.gather(*(made.fetch(f"http://www.example.org:{public.port}/") for _ in range(3 * MAX_FETCHES)))
    assert public.most_open == MAX_FETCHES
    assert public.paths.count("/") == 3 * MAX_FETCHES
