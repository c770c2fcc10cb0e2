"""A vendor on 127.0.0.1 that records its requests and plays scripted replies."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it arrived: the `fields` of a form, or the `body` of JSON."""

    path: str
    headers: dict[str, str]
    body: Any = None
    fields: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that ends as HTTP does, is cut, or stays silent until the client disconnects."""

    status: int = 200
    headers: dict[str, str] = {}
    pieces: tuple[bytes, ...] = ()
    ending: Literal["end", "cut", "silence", "silent from the start"] = "end"


def json_reply(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status=status, headers=headers, pieces=(json.dumps(body).encode(),))


class Vendor:
    """A service that answers each request with the next reply. `left` is set when a client leaves early."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.left = asyncio.Event()
        self._replies: list[Reply] = []

    def play(self, *replies: Reply) -> None:
        self._replies.extend(replies)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.content_type == "multipart/form-data":
            form = await request.post()
            fields = {name: _value(value) for name, value in form.items()}
            self.asked.append(Asked(path=request.path_qs, headers=headers, fields=fields))
        else:
            self.asked.append(Asked(path=request.path_qs, headers=headers, body=await _body(request)))
        return await self._answer(request, self._replies.pop(0))

    async def _answer(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        try:
            if reply.ending == "silent from the start":
                await asyncio.Event().wait()
            response = web.StreamResponse(status=reply.status, headers=reply.headers)
            response.enable_chunked_encoding()
            await response.prepare(request)
            for piece in reply.pieces:
                await response.write(piece)
            if reply.ending == "silence":
                await asyncio.Event().wait()
            if reply.ending == "cut" and request.transport:
                request.transport.abort()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response


def _value(value: Any) -> Any:
    """Return the text, or the name, type and bytes of a file."""
    if not isinstance(value, web.FileField):
        return value
    with value.file:
        return value.filename, value.content_type, value.file.read()


async def _body(request: web.Request) -> Any:
    text = await request.text()
    return json.loads(text) if text.startswith("{") else text


@asynccontextmanager
async def vendor(fake: Vendor | None = None) -> AsyncIterator[Vendor]:
    """Start the vendor, which listens at its `url`."""
    fake = fake or Vendor()
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
