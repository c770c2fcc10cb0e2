"""The specification of a provider: its settings, when it is configured, and how to make it.

A provider is a package of this folder that exports `SPEC`, and is listed in `chat.providers.SPECS`, or the object of
a plug-in's entry point `orchestrator_service.providers`. Settings, system checks, prices and the valid values of
`DEFAULT_PROVIDER` are derived from it.
"""

from collections.abc import Callable

import msgspec

from chat.providers.base import Provider, Timeouts
from plugins.setting import Setting, Values


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
