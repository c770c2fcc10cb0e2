"""One record of every kind that a path can name, owned by one caller."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import msgspec

from chat.engine.model_port import Finished
from chat.models import Run
from chat.providers.scripted import Scripted, text
from chat.wire.responses import response_id
from storage.writer import writer
from tests.access.conftest import Holder
from tests.access.endpoints import Endpoint
from tests.conftest import Api
from tests.streams import Answer

STOP = Finished(reason="stop")
POLICY = "ask fs.write"
WRITE = {"name": "fs.write", "params": {"path": "belongings.txt", "content": "x"}}


class Belongings(msgspec.Struct, frozen=True, kw_only=True):
    """The ids, and the hash that a decision about a waiting call must name."""

    session: str
    run: str
    interrupted: str
    execution: str
    waiting: str
    response: str
    params_sha256: str


def model() -> Scripted:
    """Answer any number of requests."""
    return Scripted(*([text("Hello"), STOP] for _ in range(20)))


async def belongings(api: Api, holder: Holder) -> Belongings:
    """Create one record of each kind. The service needs `POLICY` and `model()`."""
    said = await ask(api, holder, message="Hi", tool_calls=[{"name": "fs.list", "params": {}}])
    broken = await ask(api, holder, message="Hi")
    other = await ask(api, holder, message="Hi")
    waits = asyncio.create_task(ask(api, holder, tool_calls=[WRITE], on_disconnect="continue"))
    waiting = await until_waiting(api, holder)
    waits.cancel()
    interrupted = broken.headers["X-Run-Id"]
    await writer.write(lambda: Run.objects.filter(id=interrupted).update(status=Run.Status.INTERRUPTED))
    return Belongings(
        session=said.headers["X-Session-Id"],
        run=said.headers["X-Run-Id"],
        interrupted=interrupted,
        execution=said.one("tool_result")["execution_id"],
        waiting=waiting["id"],
        response=response_id(UUID(other.headers["X-Run-Id"]), 0),
        params_sha256=waiting["params_sha256"],
    )


async def until_waiting(api: Api, holder: Holder) -> Any:
    async with asyncio.timeout(10):
        while True:
            found = await api.get("/tools/executions?status=awaiting_approval", headers=holder.headers)
            if found["items"]:
                return found["items"][0]
            await asyncio.sleep(0.02)


async def ask(api: Api, holder: Holder, **body: Any) -> Answer:
    answer = await api.call("POST", "/chat/stream", json=body, headers=holder.headers)
    assert answer.status == 200, answer.body
    return answer


async def request_endpoint(
    api: Api, holder: Holder, where: tuple[str, str], endpoint: Endpoint, of: Belongings | None = None
) -> Answer:
    """Request an endpoint about a caller's records, or about records that do not exist if there are none."""
    method, path = where
    named = getattr(of, endpoint.kind, "") or str(uuid4())
    given = {"json": filled(endpoint.body, named, of.params_sha256 if of else "0" * 64)} if endpoint.body else {}
    if endpoint.body == {}:
        given = {"data": b"x", "headers": {"Content-Type": "text/plain"}}
    headers = {**given.pop("headers", {}), **holder.headers}
    return await api.call(method.upper(), re.sub(r"\{\w+\}", named, path), headers=headers, **given)


def filled(body: Any, named: str, params_sha256: str) -> Any:
    return {name: {"ID": named, "HASH": params_sha256}.get(value, value) for name, value in body.items()}
