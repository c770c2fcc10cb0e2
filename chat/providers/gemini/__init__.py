"""Gemini, through Google's SDK."""

from chat.providers.base import Provider, Timeouts
from chat.providers.spec import ProviderSpec
from plugins.setting import Setting, Values


def _make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    from chat.providers.gemini.provider import Gemini  # noqa: PLC0415 - the SDK takes a second to load

    return Gemini(
        api_key=values["GEMINI_API_KEY"],
        base_url=values["GEMINI_BASE_URL"] or None,
        default_model=default_model,
        timeouts=timeouts,
    )


SPEC = ProviderSpec(
    name="gemini",
    settings=(
        Setting(name="GEMINI_API_KEY", kind="secret"),
        Setting(name="GEMINI_BASE_URL", kind="url"),
    ),
    make=_make,
    missing=lambda values: "" if values["GEMINI_API_KEY"] else "GEMINI_API_KEY is not set",
    price_vendor=lambda values: None if values["GEMINI_BASE_URL"] else "google",
    default_model="gemini-2.5-flash",
    has_model=lambda _, model: model.startswith("gemini"),
)
