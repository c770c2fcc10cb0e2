"""The channel layer between processes."""

import pytest
from channels_redis.core import RedisChannelLayer  # type: ignore[import-untyped]  # it ships no types

from orchestrator_site.channel_layer import backend
from tests.servers import Valkey


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "rediss://127.0.0.1:6379/0", "unix:///run/valkey.sock"])
def test_connection_outlasts_the_wait_for_a_message(url: str) -> None:
    layer = RedisChannelLayer(**backend(url)["CONFIG"])
    assert layer.create_pool(0).connection_kwargs["socket_timeout"] > layer.brpop_timeout


async def test_message_reaches_a_process_that_waits_for_it(valkey: Valkey) -> None:
    sender, receiver = (RedisChannelLayer(**backend(valkey.url)["CONFIG"]) for _ in range(2))
    await sender.send("process.a", {"type": "order"})
    assert await receiver.receive("process.a") == {"type": "order"}
    await sender.close_pools()
    await receiver.close_pools()
