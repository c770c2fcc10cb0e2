"""Anthropic's Messages API, and services with the same one."""

from urllib.parse import urlsplit

from chat.providers.base import Provider, Timeouts
from chat.providers.spec import ProviderSpec
from plugins.setting import Setting, Values

HOST = "api.anthropic.com"


def _is_anthropic(values: Values) -> bool:
    return urlsplit(values["ANTHROPIC_BASE_URL"]).hostname == HOST


def _make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    from chat.providers.anthropic.provider import Anthropic  # noqa: PLC0415 - loaded when it is first needed

    return Anthropic(
        api_key=values["ANTHROPIC_API_KEY"],
        base_url=values["ANTHROPIC_BASE_URL"],
        default_model=default_model,
        timeouts=timeouts,
    )


SPEC = ProviderSpec(
    name="anthropic",
    settings=(
        Setting(name="ANTHROPIC_API_KEY", kind="secret"),
        Setting(name="ANTHROPIC_BASE_URL", kind="url", default=f"https://{HOST}"),
    ),
    make=_make,
    # A compatible service, such as one on the same machine, may need no key.
    missing=lambda values: (
        "ANTHROPIC_API_KEY is not set" if _is_anthropic(values) and not values["ANTHROPIC_API_KEY"] else ""
    ),
    price_vendor=lambda values: "anthropic" if _is_anthropic(values) else None,
    default_model="claude-sonnet-5-5",
    has_model=lambda values, model: model.startswith("claude") or not _is_anthropic(values),
)
