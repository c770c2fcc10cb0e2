"""One request to a local server, and its whole response."""

import asyncio
import json
import urllib.request
from typing import Any

from benchmarks.harness.load import MAX_SECONDS


async def get(port: int, path: str) -> Any:
    """Return the JSON at a path. Raise `OSError`."""
    return json.loads(await asyncio.to_thread(_exchange, port, path, None))


async def post(port: int, path: str, body: dict[str, object]) -> bytes:
    """Return the response to a JSON body. Raise `OSError`."""
    return await asyncio.to_thread(_exchange, port, path, json.dumps(body).encode())


def _exchange(port: int, path: str, body: bytes | None) -> bytes:
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=MAX_SECONDS) as response:  # noqa: S310 - it is our own
        answer: bytes = response.read()
        return answer
