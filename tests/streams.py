"""Parsing of the server's responses and streams."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

READ_SECONDS: Final = 30
"""Seconds after which a stream does not come any more, on a busy machine too."""


class Answer:
    """A whole HTTP response; `events` are those of a stream, each with its `id`."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        return events(self.body)

    @property
    def text(self) -> str:
        return "".join(event["token"] for event in self.events if event["type"] == "token")

    def types(self) -> list[str]:
        """Return the types of the events, with consecutive tokens as one."""
        found: list[str] = []
        for event in self.events:
            if event["type"] != "token" or found[-1:] != ["token"]:
                found.append(event["type"])
        return found

    @property
    def code(self) -> str:
        """Return the code of an error, in the form of the service or of OpenAI."""
        body = self.json()
        return str(body["code"] if "code" in body else body["error"]["code"])

    def one(self, kind: str) -> dict[str, Any]:
        """Return the only event of a type."""
        (event,) = [event for event in self.events if event["type"] == kind]
        return event


def events(frames: bytes) -> list[dict[str, Any]]:
    """Parse the events of frames, as a client does that follows the specification."""
    found = []
    for block in frames.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            found.append({"id": int(fields["id"]), **json.loads(fields["data"])})
    return found


async def read_until(response: aiohttp.ClientResponse, wanted: bytes) -> bytes:
    """Return what is received up to and with these bytes; raise `AssertionError` if the stream ends before."""
    got = b""
    async with asyncio.timeout(READ_SECONDS):
        while wanted not in got:
            piece = await response.content.readany()
            assert piece, f"the stream ended before {wanted!r}: {got!r}"
            got += piece
    return got
