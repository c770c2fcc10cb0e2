"""Rate limits, counted over all processes in a Redis-compatible server, otherwise in each process.

The window slides (https://limits.readthedocs.io/en/stable/strategies.html#sliding-window-counter), so a burst at the
border of two windows is not accepted twice.
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
from web.plurals import noun_for

logger = logging.getLogger(__name__)

PREFIX: Final = "orchestrator-limits"
PATIENCE_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 5.0
"""Seconds for which a server that did not answer is not asked again."""

MAX_COUNTERS: Final = 10_000


class Windows(MemoryStorage):
    """The library's memory storage, without the task that it starts on each request to drop old windows.

    Only the current window and the one before it count, so older ones are dropped when a window begins.
    """

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count one request and return the number in the window."""
        # There is no await in this method, so that requests cannot interleave.
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
    """One counter per name, in memory. Beyond the maximum, the least recently used one is dropped."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counters: OrderedDict[str, SlidingWindowCounterRateLimiter] = OrderedDict()

    def of(self, name: str) -> SlidingWindowCounterRateLimiter:
        """Return the counter of a name."""
        # Each has a storage of its own, because the library scans a storage on every count.
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = SlidingWindowCounterRateLimiter(Windows())
            if len(self._counters) > self._most:
                self._counters.popitem(last=False)
        else:
            self._counters.move_to_end(name)
        return counter


class Limiter:
    """Accepts requests up to a rate. `url` names the server where all processes count; empty counts in this process.

    At most `most` counters are kept in memory.
    """

    def __init__(self, url: str, most: int = MAX_COUNTERS) -> None:
        self._memory = Counters(most)
        self._storage = _redis(url) if url else None
        self._shared = SlidingWindowCounterRateLimiter(self._storage) if self._storage else None
        self._away_until = 0.0
        shared: Any = self._storage.base_exceptions if self._storage else ()
        self._failures: tuple[type[Exception], ...] = (OSError, *shared)

    async def take(self, rate: RateLimitItem, name: str) -> float | None:
        """Count a request; return None if it is accepted, otherwise the seconds to wait."""
        counter = self._shared if self._shared and time.monotonic() >= self._away_until else self._memory.of(name)
        try:
            return await _take(counter, rate, name)
        except self._failures as error:
            # Counting in this process is better than refusing, or than waiting for the server on every request.
            self._away_until = time.monotonic() + AWAY_SECONDS
            logger.warning("limits.unshared", extra={"error": str(error)})
            return await _take(self._memory.of(name), rate, name)

    async def close(self) -> None:
        if self._storage is not None:
            client: Any = self._storage.bridge
            await client.storage.aclose()


def too_many(policy: str, rate: RateLimitItem, seconds: float) -> ApiError:
    """Return a 429 with the fields of https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/."""
    wait = max(1, math.ceil(seconds))
    headers = {
        "Retry-After": str(wait),
        "RateLimit-Policy": f'"{policy}";q={rate.amount};w={rate.get_expiry()}',
        "RateLimit": f'"{policy}";r=0;t={wait}',
    }
    requests = f"{rate.amount} {noun_for(rate.amount, 'request')}"
    error = f"Rate limit exceeded ({policy}: {requests} per {rate.get_expiry()} s). Retry in {wait} s."
    return ApiError(429, "rate_limited", error, detail=[{"policy": policy, "retry_after": wait}], headers=headers)


async def _take(counter: SlidingWindowCounterRateLimiter, rate: RateLimitItem, name: str) -> float | None:
    if await counter.hit(rate, name):
        return None
    return max(0.0, (await counter.get_window_stats(rate, name)).reset_time - time.time())


def _redis(url: str) -> RedisStorage:
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - a tenth of a second, for who has such a server
    from redis.backoff import NoBackoff  # noqa: PLC0415 - as above

    # `limits` knows a Unix socket only by this scheme.
    found = url.replace("unix://", "redis+unix://") if url.startswith("unix://") else url
    # No retries: a request would wait for each of them, and counting in this process is the better answer to a failure.
    options: Any = {
        "socket_timeout": PATIENCE_SECONDS,
        "socket_connect_timeout": PATIENCE_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    return RedisStorage(f"async+{found}", implementation="redispy", key_prefix=PREFIX, **options)
