"""A bounded fuzzer of a running service: random and hostile requests to its API, its pages and its console.

It counts the statuses. Its faults are a 500, an internal error in an event or at a socket's end, and a connection that
is closed without an answer. `--key` is shown to the API; `--user` and `--password` sign in to the console.

Example: `python -m scripts.fuzz --url http://127.0.0.1:8010 --requests 50000 --seed 1`.
"""

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from scripts.other_protocols import OtherProtocols
from scripts.well_formed import Known, Made, Values, WellFormed

SECONDS: Final = 30.0
"""Seconds that an answer may take."""

AT_ONCE: Final = 8
MAX_SHOWN: Final = 10
INTERNAL: Final = re.compile(rb'"code": ?"internal"|\x88.\x03\xf3')
"""An event, or a socket's close frame (1011), that reports a fault of the service."""

SOCKET_HEADERS: Final = (
    ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)  # fmt: skip

TABLES: Final = (
    "access/apikey", "audit/auditentry", "auth/group", "auth/user", "chat/message", "chat/run", "chat/session",
    "speech/speechrequest", "spending/account", "spending/use", "tools/mcptoolset", "tools/toolexecution",
)  # fmt: skip
CONSOLE: Final = (
    "", "?{q}", "{id}/change/", "{id}/change/?{q}", "{id}/whole/{w}/", "{id}/decide/", "{id}/delete/",
    "{id}/history/", "add/", "add/?{q}", "{id}/password/", "{id}/", "{w}/", "{id}/cancel/", "{id}/undo/", "{id}/act/",
    "{id}/export/?{q}", "{id}/pictures/{id}/", "{id}/revoke/", "{id}/accept/", "import/", "ask/", "add-server/",
    "remove-server/",
)  # fmt: skip
PAGES: Final = (
    "/", "/docs", "/openapi.json", "/oauth/{w}", "/oauth/{w}/continue?{q}", "/oauth/callback?{q}", "/ws/chat",
    "/ws/speech", "/static/{w}", "/admin/", "/admin/?{q}", "/admin/live?{q}", "/admin/login/?{q}",
    "/admin/jsi18n/?{q}", "/admin/autocomplete/?{q}", "/admin/password_change/", "/admin/r/{id}/{w}/", "/admin/{w}/",
    "/{w}", "/{w}/{id}?{q}",
)  # fmt: skip
"""Pages and sockets. The paths of the API come from its document, so a new endpoint is never left out."""

NAMES: Final = (
    "q", "p", "o", "e", "all", "limit", "offset", "after", "status", "status__exact", "tool", "model", "provider",
    "source", "code", "owner", "reason", "role", "is_error__exact", "created__on", "run__created__on", "session_id",
    "run_id", "group_by", "since", "until", "next", "term", "app_label", "model_name", "field_name", "_popup",
    "_to_field", "_changelist_filters", "id", "id__in", "pk", "name", "username", "password", "csrfmiddlewaretoken",
    "scopes", "expires", "rate", "max_runs", "budgets", "verdict", "note", "params_sha256", "message", "tool_calls",
    "text", "format", "speed", "language", "metadata", "title", "user", "is_superuser__exact", "groups__id__exact",
    "revoked__isnull",
)  # fmt: skip
VALUES: Final = (
    "", "0", "1", "-1", "2.5", "1e400", "9" * 30, "9" * 5_000, "NaN", "true", "None", "null", "\0", "a\0b", "%",
    "%00", "%ff", "a" * 3_000, "ä日本\U0001f600", "\ud800", "'", '"', "' OR 1=1 --", "../../../etc/passwd", "..%2f",
    "\r\nX: y", "\x1b[31m", "2026-02-31", "2026-11-28", "9999-12-31", "0001-01-01", "fs.read", "git.*", "[", "(",
    "*", "a b c", "1,2,,3", "day", "3d", "10usd/month", "60/minute", "[]", "{}", '{"a": 1}', "-created", "1.-2.3",
    "/admin/", "//evil.example", "\ufeff",
)  # fmt: skip
METHODS: Final = ("GET",) * 8 + ("POST",) * 6 + ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
HEADERS: Final = (
    "Accept", "Accept-Language", "Authorization", "Cookie", "Content-Encoding", "Host", "If-Modified-Since",
    "Idempotency-Key", "Last-Event-ID", "Origin", "Range", "Referer", "Upgrade", "X-API-Key", "X-Forwarded-For",
    "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Requested-With", "traceparent", "Transfer-Encoding",
    "X-CSRFToken",
)  # fmt: skip
TYPES: Final = (
    "application/json", "application/json; charset=utf-16", "application/x-www-form-urlencoded",
    "multipart/form-data", "multipart/form-data; boundary=b", "audio/mpeg", "text/plain", "",
    "application/x-www-form-urlencoded; charset=nothing",
)  # fmt: skip


class Fuzzer:
    """Makes requests from a seed, to pages and to the `paths` of the API as its document writes them.

    `cookie` and `token` are those of a signed-in user of the console. `key` is shown to the API. Requests name the
    `known` rows of the service.
    """

    def __init__(
        self, seed: int, host: str, paths: Iterable[str], *, cookie: str = "", token: str = "", key: str = ""
    ) -> None:
        self.known = Known()
        # Params that are not ids are names, which may be anything.
        with_ids = (re.sub(r"{\w*_id}", "{id}", path) for path in paths)
        self._paths = [*PAGES, *(re.sub(r"{(?!id})\w+}", "{w}", path) + "?{q}" for path in with_ids)]
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        values = Values(self._random, self.known, self._json)
        self._well_formed = WellFormed(self._random, values, with_keys=bool(key))
        self._protocols = OtherProtocols(self._random, values)
        self._host = host
        self._cookie = cookie
        self._token = token
        self._key = key

    def request(self) -> bytes:
        """Return the bytes of one request, whose answer ends with its connection."""
        if self._random.random() < 0.4:
            made = self._random.choice((self._well_formed.request, self._other_protocol))(self._token)
        else:
            method = self._random.choice(METHODS)
            made = Made(method, self._target(), *self._body())
        lines = [
            f"{'GET' if made.method == 'SOCKET' else made.method} {made.target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in self._headers(made)),
        ]
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + made.body

    def _other_protocol(self, _: str) -> Made:
        return self._protocols.request()

    def _headers(self, made: Made) -> list[tuple[str, str]]:
        if made.method == "SOCKET":
            return [("Host", self._host), *SOCKET_HEADERS, *([("X-API-Key", self._key)] if self._key else [])]
        headers = [("Host", self._host), ("Connection", "close"), ("Content-Length", str(len(made.body)))]
        if made.content_type:
            headers.append(("Content-Type", made.content_type))
        if self._cookie and self._random.random() < 0.7:
            headers.append(("Cookie", self._cookie))
        if self._key and self._random.random() < 0.9:
            headers.append(("Authorization", f"Bearer {self._key}"))
        for _ in range(self._random.choice((0, 0, 0, 0, 0, 1, 1, 2, 30))):
            value = re.sub(r"[\r\n\0]", "", self._value())
            headers.append((self._random.choice(HEADERS[:-2] if made.body else HEADERS), value))
        return headers

    def _target(self) -> str:
        path = self._random.choice(self._paths)
        if self._random.random() < 0.4:
            path = f"/admin/{self._random.choice(TABLES)}/{self._random.choice(CONSOLE)}"
        return path.format(q=self._query(), id=self._id(), w=self._quoted(self._value()[:500]))

    def _id(self) -> str:
        if self._random.random() < 0.5:
            return self._random.choice(self.known.ids)
        return self._random.choice((str(UUID(int=self._random.getrandbits(128))), self._quoted(self._value()[:200])))

    def _query(self) -> str:
        pairs = [(self._random.choice(NAMES), self._value()) for _ in range(self._random.choice((0, 1, 1, 2, 5)))]
        return "&".join(f"{name}={self._quoted(value)}" for name, value in pairs)

    def _quoted(self, text: str) -> str:
        found = quote(text, safe="", errors="surrogatepass")
        return found if self._random.random() < 0.9 else found.replace("%", "%25")

    def _value(self) -> str:
        if self._random.random() < 0.8:
            return self._random.choice(VALUES)
        return bytes(self._random.randrange(256) for _ in range(self._random.randrange(12))).decode("latin-1")

    def _json(self, depth: int = 0) -> Any:
        if depth > 2 or self._random.random() < 0.5:
            return self._random.choice((None, True, 0, -1, 2**63, 1.5, [], {}, self._value(), self._value()))
        if self._random.random() < 0.3:
            return [self._json(depth + 1) for _ in range(self._random.randrange(4))]
        return {self._random.choice(NAMES): self._json(depth + 1) for _ in range(self._random.randrange(5))}

    def _body(self) -> tuple[bytes, str]:
        kind = self._random.randrange(5)
        if kind == 0:
            return b"", self._random.choice(TYPES)
        if kind == 1:
            return json.dumps(self._json()).encode(), "application/json"
        if kind == 2:
            return self._random.randbytes(self._random.randrange(300)), self._random.choice(TYPES)
        pairs = [(self._random.choice(NAMES), self._value()) for _ in range(self._random.randrange(8))]
        pairs += [("csrfmiddlewaretoken", self._token)] * (self._random.random() < 0.8)
        if kind == 3:
            return urlencode(pairs, errors="surrogatepass").encode(), "application/x-www-form-urlencoded"
        parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs]
        return "".join([*parts, "--b--\r\n"]).encode("utf-8", "surrogatepass"), "multipart/form-data; boundary=b"


class Report:
    """The counts of all statuses, and the requests that found a fault."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.faults: list[tuple[str, bytes]] = []

    def add(self, status: str, request: bytes, reason: str = "") -> None:
        self.statuses[status] += 1
        if status in {"500", "dropped", "late", "internal"}:
            self.faults.append((f"{status} {reason}".strip(), request))


async def exchange(url: str, request: bytes) -> bytes:
    """Return the answer to a request, a stream up to an approval that it awaits.

    What follows a socket's handshake is sent when that is accepted. Raise `TimeoutError`, or `ConnectionError` if the
    connection was cut.
    """
    parts = urlsplit(url)
    head, end, rest = request.partition(b"\r\n\r\n")
    answer = b""
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            with closing(writer):
                if b"\r\nUpgrade: websocket\r\n" in head:
                    writer.write(head + end)
                    answer = await reader.readuntil(end)
                    writer.write(rest)
                else:
                    writer.write(request)
                while b'"type":"approval_required"' not in answer and (piece := await reader.read(65_536)):
                    answer += piece
                return answer
    except (OSError, EOFError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise ConnectionError(f"{error!r} after {len(answer)} bytes, {answer[:40]!r}") from error


async def fuzz(url: str, fuzzer: Fuzzer, requests: int) -> Report:
    """Send so many requests, a few at a time."""
    report = Report()
    left = iter(range(requests))

    async def send() -> None:
        for _ in left:
            request = fuzzer.request()
            try:
                answer = await exchange(url, request)
            except TimeoutError:
                report.add("late", request)
                continue
            except ConnectionError as error:
                report.add("dropped", request, str(error))
                continue
            fuzzer.known.learn(answer)
            found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
            status = found[1].decode() if found else "dropped"
            # The API's document has an internal error as an example.
            is_fault = INTERNAL.search(answer) and b'"openapi":' not in answer
            report.add("internal" if is_fault else status, request)

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    return report


async def api_paths(url: str) -> list[str]:
    """Return the paths of the API, such as `/chat/runs/{run_id}`."""
    request = f"GET /openapi.json HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n\r\n"
    answer = await exchange(url, request.encode())
    return list(json.loads(answer.partition(b"\r\n\r\n")[2])["paths"])


async def signed_in(url: str, user: str, password: str) -> tuple[str, str]:
    """Return the cookies and the form token of a user of the console."""
    host = urlsplit(url).netloc
    head = f"Host: {host}\r\nConnection: close\r\n"
    page = (await exchange(url, f"GET /admin/login/ HTTP/1.1\r\n{head}\r\n".encode())).decode()
    token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]
    cookie = re.findall(r"(?i)set-cookie: (csrftoken=\w+)", page)[0]
    form = urlencode({"username": user, "password": password, "csrfmiddlewaretoken": token}).encode()
    sent = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\nCookie: {cookie}\r\n"
    answer = await exchange(url, f"POST /admin/login/ HTTP/1.1\r\n{head}{sent}\r\n".encode() + form)
    kept = dict(re.findall(r"(?i)set-cookie: (csrftoken|sessionid)=(\w+)", answer.decode()))
    # The service changes the token of forms when a user signs in.
    return "; ".join(f"{name}={value}" for name, value in kept.items()), kept["csrftoken"]


async def main(options: argparse.Namespace) -> int:
    """Print the counts and the faults. Return 1 if there are any."""
    cookie = token = ""
    if options.user:
        cookie, token = await signed_in(options.url, options.user, options.password)
    paths = await api_paths(options.url)
    fuzzer = Fuzzer(options.seed, urlsplit(options.url).netloc, paths, cookie=cookie, token=token, key=options.key)
    report = await fuzz(options.url, fuzzer, options.requests)
    for status, count in sorted(report.statuses.items()):
        sys.stdout.write(f"{status:8} {count:8}\n")
    for status, request in report.faults[:MAX_SHOWN]:
        sys.stdout.write(f"{status}: {request[:1_000]!r}\n")
    return int(bool(report.faults))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="the service, such as http://127.0.0.1:8010")
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--key", default="", help="an API key")
    parser.add_argument("--user", default="", help="a user of the console")
    parser.add_argument("--password", default="")
    sys.exit(asyncio.run(main(parser.parse_args())))
