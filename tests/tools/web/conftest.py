from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.tools.web.web_server import PUBLIC, Names, Site, permitted, site
from tools.web.fetching import Fetcher, FetchLimits
from tools.web.urls import allowed_hosts

MakeFetcher = Callable[..., Fetcher]


@pytest.fixture
async def public() -> AsyncIterator[Site]:
    """Return the site of `www.example.org`."""
    async with site(PUBLIC) as made:
        yield made


@pytest.fixture
async def inside(public: Site) -> AsyncIterator[Sequence[Site]]:
    """Return servers of the machine itself, on the same port. No test may reach them."""
    async with AsyncExitStack() as stack:
        sites = []
        for host in ("127.0.0.1", "::1"):
            try:
                sites.append(await stack.enter_async_context(site(host, public.port)))
            except OSError:
                # Some machines have no IPv6.
                assert host == "::1"
        yield sites
        assert [made.connections for made in sites] == [0] * len(sites)


@pytest.fixture
def fetcher(public: Site) -> MakeFetcher:
    """Return a function that makes a fetcher, with names and their addresses."""

    def make(names: dict[str, Sequence[Sequence[str]]] | Names | None = None, **limits: Any) -> Fetcher:
        known = names if isinstance(names, Names) else Names({"www.example.org": [[PUBLIC]], **(names or {})})
        hosts = allowed_hosts(f"*,*:{public.port}")
        return Fetcher(hosts, FetchLimits(**limits), resolve=known.resolve, permitted=permitted)

    return make
