"""A scripted tour of the service, for people who have no model yet. It answers only if it is the default provider."""

from chat.providers.base import Provider, Timeouts
from chat.providers.demo.provider import MODEL, Demo
from chat.providers.spec import ProviderSpec
from plugins.setting import Values


def _make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    return Demo()


SPEC = ProviderSpec(
    name="demo",
    settings=(),
    make=_make,
    missing=lambda _: "",
    is_free=True,
    is_chosen_only=True,
    default_model=MODEL,
)
