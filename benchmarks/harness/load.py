"""The client: it requests streams on several lanes, one after the other on each, and checks every byte.

StreamBroken         a stream was not the requested one, to its last byte
"""

import asyncio
import json
import random
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from benchmarks.harness.script import Script

OK: Final = b"HTTP/1.1 200 "
LAST_CHUNK: Final = b"0\r\n\r\n"
MAX_SECONDS: Final = 180
"""Seconds after which a load is abandoned."""


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class StreamBroken(Exception):
    """A stream was not the requested one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of a stream: the JSON key of a token's text, and the pattern of the last event."""

    key: str
    end: bytes

    def tokens(self, body: bytes) -> list[bytes]:
        """Return the JSON string literals of all tokens, without quotes."""
        # Not parsed as JSON: the client shares a core with the upstream, and must stay cheaper than the servers.
        literals: list[bytes] = re.findall(rb'"%b": ?"((?:[^"\\]|\\.)+)"' % self.key.encode(), body)
        return literals


NATIVE: Final = Dialect(key="token", end=rb'"type": ?"end"')
OPENAI: Final = Dialect(key="content", end=rb"data: \[DONE\]")
RESPONSES: Final = Dialect(key="delta", end=rb'"type":"response\.completed"')
UI_MESSAGES: Final = Dialect(key="delta", end=rb"data: \[DONE\]")
AG_UI: Final = Dialect(key="delta", end=rb'"type":"RUN_FINISHED"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server to load: `body` makes a request's body from the user's message; `key` is sent if it is set."""

    port: int
    path: str
    dialect: Dialect
    body: Callable[[str], dict[str, object]]
    key: str = ""

    def request(self, message: str) -> bytes:
        body = json.dumps(self.body(message), separators=(",", ":")).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
            f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n"
        )
        shown = f"Authorization: Bearer {self.key}\r\n" if self.key else ""
        return f"{head}{shown}\r\n".encode() + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The streams to request: on each lane one after the other, until `streams` have started or `seconds` are over.

    The lanes start over `spread` seconds. Every body must contain `holds`.
    """

    tokens: int
    rate: float = 0.0
    lanes: int = 1
    streams: int | None = None
    seconds: float = MAX_SECONDS
    spread: float = 0.0
    holds: bytes = b""


@dataclass(slots=True)
class Outcome:
    """The result of a load; `first_tokens` are the seconds from each request to its first token."""

    begun: int = 0
    open: int = 0
    tokens: int = 0
    first_tokens: list[float] = field(default_factory=list)

    @property
    def streams(self) -> int:
        return len(self.first_tokens)

    def first_token_ms(self, percent: int) -> float:
        """Return a percentile of the times to the first token."""
        return percentile(self.first_tokens, percent) * 1_000


During = Callable[[Outcome], Awaitable[None]]


async def play(load: Load, target: Target, during: During | None = None) -> Outcome:
    """Put a load on a target, with `during` beside it. Raise `StreamBroken`, `OSError` and `TimeoutError`."""
    outcome = Outcome()
    # A fixed seed: every contestant and every round has the same arrivals.
    starts = random.Random(0)
    until = time.perf_counter() + load.seconds
    lanes = [_lane(load, target, outcome, starts.uniform(0, load.spread), until) for _ in range(load.lanes)]
    async with asyncio.timeout(MAX_SECONDS):
        await asyncio.gather(*lanes, *([during(outcome)] if during else []))
    return outcome


async def _lane(load: Load, target: Target, outcome: Outcome, start: float, until: float) -> None:
    await asyncio.sleep(start)
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(Connection, "127.0.0.1", target.port)
    try:
        while time.perf_counter() < until and (load.streams is None or outcome.begun < load.streams):
            outcome.begun += 1
            outcome.open += 1
            script = Script(tokens=load.tokens, rate=load.rate, nonce=uuid.uuid4().hex)
            reply = await connection.ask(target.request(script.directive), script.nonce.encode())
            check(reply.body(), target.dialect, script, load.holds)
            outcome.tokens += load.tokens
            outcome.first_tokens.append(reply.first_token)
            outcome.open -= 1
    finally:
        transport.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as received, and the seconds from the request to its first token."""

    raw: bytes
    first_token: float

    def body(self) -> bytes:
        """Return the body without its chunks. Raise `StreamBroken`."""
        head, _, rest = self.raw.partition(b"\r\n\r\n")
        if not head.startswith(OK) or not rest.endswith(LAST_CHUNK):
            raise StreamBroken(f"a stream was refused, or broke off: {self.raw[:500]!r}")
        chunks: list[bytes] = []
        place = 0
        while True:
            end = rest.index(b"\r\n", place)
            size = int(rest[place:end], 16)
            if size == 0:
                return b"".join(chunks)
            # A chunk is its size in hex, CRLF, its bytes, and CRLF again (RFC 9112, 7.1).
            chunks.append(rest[end + 2 : end + 2 + size])
            place = end + 4 + size


class Connection(asyncio.Protocol):
    """A kept connection with one request at a time."""

    _transport: asyncio.Transport
    _ended: "asyncio.Future[None] | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, request: bytes, mark: bytes) -> Reply:
        """Return the whole response; the first token counts as received with `mark`. Raise `StreamBroken`."""
        self._received = bytearray()
        self._mark = mark
        self._marked: float | None = None
        self._ended = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self._transport.write(request)
        await self._ended
        return Reply(bytes(self._received), (self._marked or time.perf_counter()) - started)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._marked is None and self._mark in self._received:
            self._marked = time.perf_counter()
        # A refusal has a Content-Length and no last chunk, so waiting for one would never end.
        refused = len(self._received) >= len(OK) and not self._received.startswith(OK)
        if (refused or self._received.endswith(LAST_CHUNK)) and self._ended and not self._ended.done():
            self._ended.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._ended and not self._ended.done():
            self._ended.set_exception(StreamBroken(f"the connection was lost after {len(self._received)} bytes"))


def check(body: bytes, dialect: Dialect, script: Script, holds: bytes) -> None:
    """Raise `StreamBroken` unless the body has each token of the script once, in order, and its end."""
    tokens = dialect.tokens(body)
    # The literals of all tokens are joined and decoded once, as one JSON string.
    text = json.loads(b'"' + b"".join(tokens) + b'"')
    if text != script.text or len(tokens) != script.tokens:
        raise StreamBroken(f"{len(tokens)} tokens of {script.tokens} came, or others; the end: {body[-200:]!r}")
    if not re.search(dialect.end, body.rstrip().rpartition(b"\n\n")[2]):
        raise StreamBroken(f"the stream's last event is not its end: {body[-200:]!r}")
    if holds not in body:
        raise StreamBroken(f"the stream does not hold {holds!r}: {body[-400:]!r}")
