"""The specification of a provider: its settings, when it is configured, and how to make it.

A provider is a package of this folder that exports `SPEC`, and is listed in `chat.providers.SPECS`. Settings, system
checks, prices and the valid values of `DEFAULT_PROVIDER` are derived from that list.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from chat.providers.base import Provider, Timeouts

Values = Mapping[str, Any]
"""The values of a provider's settings, by their names."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable that configures a provider.

    An empty `file` is None. `minimum` and `maximum` bound an `integer`. An `object` is a JSON object, and `texts` is
    one whose values are texts.
    """

    name: str
    kind: Literal["text", "secret", "url", "url_with_query", "file", "integer", "names", "texts", "object"]
    default: Any = ""
    minimum: int = 0
    maximum: int = 2**53


class ProviderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the service needs to know of a provider before it makes one.

    `make` gets the values of `settings`, the default model and the timeouts; it imports the adapter, which may take a
    second. `missing` says why the provider cannot be made, and is empty if it can. `price_vendor` is the vendor's id in
    genai-prices, or None if nothing there has the prices. A model of `DEFAULT_MODEL` is used if it `has_model`. If it
    `is_chosen_only`, there is no such provider unless `DEFAULT_PROVIDER` names it.
    """

    name: str
    settings: tuple[Setting, ...]
    make: Callable[[Values, str, Timeouts], Provider]
    missing: Callable[[Values], str]
    price_vendor: Callable[[Values], str | None] = lambda _: None
    is_free: bool = False
    is_chosen_only: bool = False
    default_model: str = ""
    has_model: Callable[[Values, str], bool] = lambda _, __: False

    def default_for(self, values: Values, requested: str) -> str:
        """Return the model to use by default, given the operator's `DEFAULT_MODEL`."""
        return requested if requested and self.has_model(values, requested) else self.default_model
