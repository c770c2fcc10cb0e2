"""The chat completions API of OpenAI, and of every compatible service."""

from urllib.parse import urlsplit

from chat.providers.base import Provider, Timeouts
from chat.providers.spec import ProviderSpec, Setting, Values

HOST = "api.openai.com"


def _is_openai(values: Values) -> bool:
    return urlsplit(values["OPENAI_BASE_URL"]).hostname == HOST


def _make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    from chat.providers.openai.provider import OpenAI  # noqa: PLC0415 - loaded when it is first needed

    return OpenAI(
        api_key=values["OPENAI_API_KEY"],
        base_url=values["OPENAI_BASE_URL"],
        default_model=default_model,
        timeouts=timeouts,
    )


SPEC = ProviderSpec(
    name="openai",
    settings=(
        Setting(name="OPENAI_API_KEY", kind="secret"),
        Setting(name="OPENAI_BASE_URL", kind="url_with_query", default=f"https://{HOST}/v1"),
    ),
    make=_make,
    # A compatible service, such as one on the same machine, may need no key.
    missing=lambda values: "OPENAI_API_KEY is not set" if _is_openai(values) and not values["OPENAI_API_KEY"] else "",
    price_vendor=lambda values: "openai" if _is_openai(values) else None,
    default_model="gpt-5.4-mini",
    # A compatible service may call its models anything.
    has_model=lambda values, model: not (_is_openai(values) and model.startswith(("gemini", "smollm"))),
)
