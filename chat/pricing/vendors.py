"""The vendors in the data of `genai-prices`: which one is behind a URL, and the context windows of its models."""

import re
from functools import lru_cache
from typing import Final

from genai_prices.data_snapshot import get_snapshot

MAX_REMEMBERED: Final = 4_096


@lru_cache(maxsize=256)
def vendor_of(base_url: str) -> str | None:
    """Return the vendor whose API is at the URL, or None. The first call takes 0.3 s."""
    return next((vendor.id for vendor in get_snapshot().providers if re.match(vendor.api_pattern, base_url)), None)


# The names of models come from callers.
@lru_cache(maxsize=MAX_REMEMBERED)
def context_window(vendor: str, model: str) -> int | None:
    """Return the context of a vendor's model in tokens, or None if the data does not have it."""
    try:
        _, found = get_snapshot().find_provider_model(model, None, vendor, None)
    except LookupError:
        return None
    return found.context_window
