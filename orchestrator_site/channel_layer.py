"""The channel layer's configuration: in a Redis-compatible server, or in this process."""

from typing import Any, Final

# channels-redis waits 5 s at a time for a message (`RedisChannelLayer.brpop_timeout`). redis-py's own timeout is 5 s
# too, and would end just that wait.
REDIS_TIMEOUTS: Final = {"socket_timeout": 15, "socket_connect_timeout": 3}
"""In seconds."""


def backend(url: str) -> dict[str, Any]:
    """Return an entry of Django's `CHANNEL_LAYERS` for the URL of a server; an empty URL keeps all in this process."""
    if not url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    hosts = [{"address": url, **REDIS_TIMEOUTS}]
    return {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": hosts}}
