"""A fake service with OpenAI's chat completions: `python -m benchmarks.upstream --port 9100`.

It sends one event in each HTTP chunk, as real services do, and the answer that the request's directive asks for. In the
final usage, `prompt_tokens` is the number of received messages, without system messages. `GET /observed`
reports the requests that it received.
"""

import argparse
import asyncio
import json
import re
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, cast

import uvloop

from benchmarks.harness.script import OBSERVED, Script, words

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"x-request-id: req_fake\r\nTransfer-Encoding: chunked\r\n\r\n"
)
REFUSAL: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(*choices: dict[str, Any], usage: dict[str, int] | None = None) -> bytes:
    """Return one chunk of a completion, with all the fields that the real service sends."""
    fields = {
        "id": "chatcmpl-BfakeFAKEfakeFAKEfakeFAKEfake",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "fake-1",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": choices,
    }
    if usage is not None:
        fields["usage"] = usage
    return chunk(b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n")


def delta(content: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return event({"index": 0, "delta": content, "logprobs": None, "finish_reason": finish_reason})


ROLE: Final = delta({"role": "assistant", "content": "", "refusal": None})
STOP: Final = delta({}, "stop")
DONE: Final = chunk(b"data: [DONE]\n\n") + LAST_CHUNK


# Made once for each length: the upstream must cost much less than the servers that it is there to measure.
@lru_cache(maxsize=16)
def following(count: int) -> tuple[bytes, ...]:
    """Return the chunks of all tokens except the first, which has the nonce."""
    return tuple(delta({"content": word}) for word in words(count)[1:])


@lru_cache(maxsize=16)
def all_following(count: int) -> bytes:
    return b"".join(following(count))


class Answer:
    """The bytes of one answer: `opening` (with the first token), the following tokens, `closing`."""

    def __init__(self, script: Script, body: bytes) -> None:
        self.script = script
        self.opening = HEAD + ROLE + delta({"content": script.nonce + words(script.tokens)[0]})
        self.closing = STOP + DONE
        # OpenAI sends the usage only if the request asks for it, in an event without choices after the last token.
        if b'"include_usage":true' in body:
            # Counted in the bytes: parsing a long history would delay the other streams of this event loop.
            messages, tokens = body.count(b'"role":') - body.count(b'"role":"system"'), script.tokens
            usage = {"prompt_tokens": messages, "completion_tokens": tokens, "total_tokens": messages + tokens}
            self.closing = STOP + event(usage=usage) + DONE

    def whole(self) -> bytes:
        return self.opening + all_following(self.script.tokens) + self.closing


@dataclass(slots=True)
class Tally:
    """The observations of the upstream: paced tokens, and connections that were closed before their answer's end.

    Times are `time.monotonic()`, which all processes of a machine share, by the answers' nonces.
    """

    tokens: int = 0
    broken: dict[str, float] = field(default_factory=dict)


class Paced:
    """Writes an answer token by token, each at its time."""

    def __init__(self, answer: Answer, transport: asyncio.WriteTransport, tally: Tally) -> None:
        self._transport = transport
        self._tally = tally
        self._answer = answer
        self._is_whole = False
        self._chunks = iter(following(answer.script.tokens))
        self._gap = 1 / answer.script.rate
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        transport.write(answer.opening)
        tally.tokens += 1
        self._wait()

    def cut(self) -> None:
        """Note that the connection was closed."""
        if not self._is_whole:
            self._tally.broken[self._answer.script.nonce] = time.monotonic()

    def _wait(self) -> None:
        # From the time that was due and not from now: a late token does not delay those after it.
        self._due += self._gap
        self._loop.call_at(self._due, self._write)

    def _write(self) -> None:
        if self._transport.is_closing():
            return
        following = next(self._chunks, None)
        if following is None:
            self._transport.write(self._answer.closing)
            self._is_whole = True
        else:
            self._transport.write(following)
            self._tally.tokens += 1
            self._wait()


class Connection(asyncio.Protocol):
    """Answers one request after the other."""

    _transport: asyncio.Transport
    _paced: Paced | None = None

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, ended, rest = self._buffer.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        size = int(length[1]) if length else 0
        if ended and len(rest) >= size:
            self._buffer = rest[size:]
            if head.startswith(b"GET %b " % OBSERVED.encode()):
                fields = json.dumps(asdict(self._tally)).encode()
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(fields) + fields)
            else:
                self._answer(Script.found_in(rest[:size]), rest[:size])

    def connection_lost(self, error: Exception | None) -> None:
        if self._paced is not None:
            self._paced.cut()

    def _answer(self, script: Script | None, body: bytes) -> None:
        if script is None:
            self._transport.write(REFUSAL)
        elif script.rate:
            self._paced = Paced(Answer(script, body), self._transport, self._tally)
        else:
            self._transport.write(Answer(script, body).whole())


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        partial(Connection, Tally()), "127.0.0.1", port, backlog=4_096
    )
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=9_100, help="port on 127.0.0.1 (default: 9100)")
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
