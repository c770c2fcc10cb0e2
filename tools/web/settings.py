"""The settings of the tools of the web."""

from typing import Final

import msgspec

from tools.web.search import SearchProvider
from tools.web.urls import AllowedHosts

MIB: Final = 1024 * 1024


class FetchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a fetch: bytes of a content, both as sent and decompressed, and seconds in all."""

    max_bytes: int = 4 * MIB
    max_seconds: float = 30.0


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The hosts and bounds of fetches from the web, and the provider of searches, if there is one."""

    fetch: bool
    hosts: AllowedHosts
    limits: FetchLimits
    provider: SearchProvider | None
    search_url: str
    search_key: str
