import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from tests.tools.web.web_server import PUBLIC, Names, Site, permitted, site
from tools.web.fetching import Fetcher, FetchLimits
from tools.web.urls import allowed_hosts

ATTEMPTS = 20
"""Attempts to find a port that is free on all addresses."""

MakeFetcher = Callable[..., Fetcher]


@asynccontextmanager
async def all_sites() -> AsyncIterator[tuple[Site, list[Site]]]:
    """Open the public site, and servers inside on the same port. Raises `OSError` if that port is taken there."""
    async with AsyncExitStack() as stack:
        public = await stack.enter_async_context(site(PUBLIC))
        inside = [await stack.enter_async_context(site("127.0.0.1", public.port))]
        # Some machines have no IPv6.
        if socket.has_ipv6:
            with suppress(OSError):
                inside.append(await stack.enter_async_context(site("::1", public.port)))
        yield public, inside


@pytest.fixture
async def sites() -> AsyncIterator[tuple[Site, list[Site]]]:
    async with AsyncExitStack() as stack:
        for attempt in range(ATTEMPTS):
            try:
                opened = await stack.enter_async_context(all_sites())
                break
            except OSError:
                assert attempt < ATTEMPTS - 1
        yield opened


@pytest.fixture
def public(sites: tuple[Site, list[Site]]) -> Site:
    """Return the site of `www.example.org`."""
    return sites[0]


@pytest.fixture
def inside(sites: tuple[Site, list[Site]]) -> Iterator[list[Site]]:
    """Return servers of the machine itself, on the same port. No test may reach them."""
    yield sites[1]
    assert [made.connections for made in sites[1]] == [0] * len(sites[1])


@pytest.fixture
def fetcher(public: Site) -> MakeFetcher:
    """Return a function that makes a fetcher, with names and their addresses."""

    def make(names: dict[str, Sequence[Sequence[str]]] | Names | None = None, **limits: Any) -> Fetcher:
        known = names if isinstance(names, Names) else Names({"www.example.org": [[PUBLIC]], **(names or {})})
        hosts = allowed_hosts(f"*,*:{public.port}")
        return Fetcher(hosts, FetchLimits(**limits), resolve=known.resolve, permitted=permitted)

    return make
