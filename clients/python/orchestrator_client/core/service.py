"""The service: its address, the key that it is shown, and the waits before new attempts."""

from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

from orchestrator_client.core.steps import Cut

FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 4.0
"""The longest wait before an attempt, in seconds. Each attempt waits twice as long as the one before it."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service at `url`, which may have a path."""

    url: str
    headers: dict[str, str]
    first_wait: float

    @classmethod
    def at(cls, url: str, api_key: str, first_wait: float) -> Self:
        """Return the service at an address. Raise `ValueError` if the address or the key is invalid."""
        try:
            parts = urlsplit(url)
            # Reading the port checks it.
            is_url = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise ValueError(f"{url!r} is not the address of a service. Give one such as http://127.0.0.1:8010.")
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("The API key has other characters than printable ASCII. Give the key as it was created.")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        return cls(url=url.rstrip("/"), headers=headers, first_wait=first_wait)

    def wait(self, attempt: int, cut: Cut) -> float:
        """Return the seconds before an attempt, which are at least those that the service asked for."""
        return max(cut.retry_after, min(LONGEST_WAIT, self.first_wait * 2.0 ** (attempt - 1)))
