"""Counting requests: over all processes where there is a Redis-compatible server, else in each for itself.

A window slides (https://limits.readthedocs.io/en/stable/strategies.html#sliding-window-counter), so that no burst at
the border of two lets twice as many in.
"""

import logging
import math
import time
from collections import OrderedDict
from typing import Any, Final

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from web.errors import ApiError

logger = logging.getLogger(__name__)

PREFIX: Final = "orchestrator-limits"
PATIENCE_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 5.0
"""For how long a server that did not answer is left alone."""

MAX_COUNTERS: Final = 10_000


class Windows(MemoryStorage):
    """The library's storage in memory, without the task that it begins for each request to look for old windows.

    There is one window and the one before it: what is older is dropped when another begins.
    """

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """The number in the window, once it has grown. Nothing is awaited: no other request comes in between."""
        now = time.time()
        if self.expirations.get(key, 0.0) <= now:
            for old in [name for name, end in self.expirations.items() if end <= now]:
                del self.expirations[old]
                self.storage.pop(old, None)
            self.expirations[key] = now + expiry
            self.storage[key] = 0
        self.storage[key] += amount
        return int(self.storage[key])


class Counters:
    """One counter for each name, in memory: of many, those that were asked for least recently are forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counters: OrderedDict[str, SlidingWindowCounterRateLimiter] = OrderedDict()

    def of(self, name: str) -> SlidingWindowCounterRateLimiter:
        """Each has a storage of its own: the library looks through all of one whenever it counts."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = SlidingWindowCounterRateLimiter(Windows())
            if len(self._counters) > self._most:
                self._counters.popitem(last=False)
        else:
            self._counters.move_to_end(name)
        return counter


class Limiter:
    """Lets so many requests in. `url` is that of the server where all processes count, or nothing.

    `most` counters are kept in memory, where this process counts for itself.
    """

    def __init__(self, url: str, most: int = MAX_COUNTERS) -> None:
        self._memory = Counters(most)
        self._storage = _redis(url) if url else None
        self._shared = SlidingWindowCounterRateLimiter(self._storage) if self._storage else None
        self._away_until = 0.0

    async def take(self, rate: RateLimitItem, name: str) -> float | None:
        """None where one more was let in and counted, or the seconds after which to ask again."""
        counter = self._shared if self._shared and time.monotonic() >= self._away_until else self._memory.of(name)
        try:
            return await _take(counter, rate, name)
        except self._failures as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            logger.warning("limits.unshared", extra={"error": str(error)})
            return await _take(self._memory.of(name), rate, name)

    async def close(self) -> None:
        if self._storage is not None:
            client: Any = self._storage.bridge
            await client.storage.aclose()

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        own: Any = self._storage.base_exceptions if self._storage else ()
        return (OSError, *own)


def too_many(policy: str, rate: RateLimitItem, seconds: float) -> ApiError:
    """A 429, with what https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/ says of it."""
    wait = max(1, math.ceil(seconds))
    headers = {
        "Retry-After": str(wait),
        "RateLimit-Policy": f'"{policy}";q={rate.amount};w={rate.get_expiry()}',
        "RateLimit": f'"{policy}";r=0;t={wait}',
    }
    told = (
        f"More than {rate.amount} requests in {rate.get_expiry()} s are not let in ({policy}): come back in {wait} s."
    )
    return ApiError(429, "rate_limited", told, detail=[{"policy": policy, "retry_after": wait}], headers=headers)


async def _take(counter: SlidingWindowCounterRateLimiter, rate: RateLimitItem, name: str) -> float | None:
    if await counter.hit(rate, name):
        return None
    return max(0.0, (await counter.get_window_stats(rate, name)).reset_time - time.time())


def _redis(url: str) -> RedisStorage:
    """A failure is told at once: what it costs to try again is each request's."""
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - a tenth of a second, for who has such a server
    from redis.backoff import NoBackoff  # noqa: PLC0415 - as above

    found = url.replace("unix://", "redis+unix://") if url.startswith("unix://") else url
    options: Any = {
        "socket_timeout": PATIENCE_SECONDS,
        "socket_connect_timeout": PATIENCE_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    return RedisStorage(f"async+{found}", implementation="redispy", key_prefix=PREFIX, **options)
