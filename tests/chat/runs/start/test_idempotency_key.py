"""Runs continue only as long as their key is valid."""

import asyncio

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey, make_key, revoke  # noqa: F401 - make_key is a fixture
from tests.conftest import Start
from tests.streams import read_until


async def test_run_with_a_revoked_key_is_cancelled_and_keeps_its_partial_text(
    start: Start,
    make_key: MakeKey,  # noqa: F811 - the fixture
) -> None:
    alice = await make_key("alice")
    auditor = await make_key("auditor", "audit")
    api = await start(Scripted([text("Half"), asyncio.Event().wait], [text("Half"), Finished(reason="stop")]))
    body = {"message": "Hi", "on_disconnect": "continue"}
    async with api.session.post(f"{api.base_url}/chat/stream", json=body, headers=alice.headers) as response:
        await read_until(response, b"Half")
        run_id = response.headers["X-Run-Id"]
        await revoke(alice)
        async with asyncio.timeout(5):
            while (run := await api.get(f"/chat/runs/{run_id}", headers=auditor.headers))["status"] == "running":
                await asyncio.sleep(0.02)
    assert (run["status"], run["text"]) == ("cancelled", "Half")
