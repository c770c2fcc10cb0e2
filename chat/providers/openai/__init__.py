"""The chat completions API of OpenAI, and of every compatible service: one endpoint each."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from chat.providers.base import Provider, Timeouts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.spec import ProviderSpec
from plugins.setting import Setting, Values

if TYPE_CHECKING:
    from chat.providers.openai.provider import OpenAI

HOST = "api.openai.com"


def _is_openai(values: Values) -> bool:
    return urlsplit(values["OPENAI_BASE_URL"]).hostname == HOST


def configured_endpoint(values: Values, default_model: str = "") -> Endpoint:
    """Return the endpoint that the settings of `SPEC` describe."""
    return Endpoint(
        name="openai",
        base_url=values["OPENAI_BASE_URL"],
        api_key=values["OPENAI_API_KEY"],
        headers=values["OPENAI_HEADERS"],
        query=values["OPENAI_QUERY"],
        body=values["OPENAI_BODY"],
        extra_body=values["OPENAI_EXTRA_BODY"],
        organization=values["OPENAI_ORGANIZATION"],
        project=values["OPENAI_PROJECT"],
        default_model=default_model,
    )


def _make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    return _provider(configured_endpoint(values, default_model), timeouts)


def _provider(endpoint: Endpoint, timeouts: Timeouts) -> "OpenAI":
    from chat.providers.openai.provider import OpenAI  # noqa: PLC0415 - loaded when it is first needed

    return OpenAI(endpoint, timeouts)


SPEC = ProviderSpec(
    name="openai",
    settings=(
        Setting(name="OPENAI_API_KEY", kind="secret"),
        Setting(name="OPENAI_BASE_URL", kind="url_with_query", default=f"https://{HOST}/v1"),
        Setting(name="OPENAI_HEADERS", kind="texts"),
        Setting(name="OPENAI_QUERY", kind="texts"),
        Setting(name="OPENAI_BODY", kind="object"),
        Setting(name="OPENAI_EXTRA_BODY", kind="names"),
        Setting(name="OPENAI_ORGANIZATION", kind="text"),
        Setting(name="OPENAI_PROJECT", kind="text"),
    ),
    make=_make,
    # A compatible service, such as one on the same machine, may need no key.
    missing=lambda values: "OPENAI_API_KEY is not set" if _is_openai(values) and not values["OPENAI_API_KEY"] else "",
    price_vendor=lambda values: "openai" if _is_openai(values) else None,
    default_model="gpt-5.4-mini",
    # A compatible service may call its models anything.
    has_model=lambda values, model: not (_is_openai(values) and model.startswith(("gemini", "claude", "smollm"))),
)


def endpoint_spec(endpoint: Endpoint) -> ProviderSpec:
    """Return the specification of a declared endpoint, which needs no settings of its own."""

    def vendor(_: Values) -> str | None:
        from chat.pricing.vendors import vendor_of  # noqa: PLC0415 - it loads the data of all vendors

        return vendor_of(endpoint.base_url)

    def make(_: Values, default_model: str, timeouts: Timeouts) -> Provider:
        return _provider(msgspec.structs.replace(endpoint, default_model=default_model), timeouts)

    return ProviderSpec(
        name=endpoint.name,
        settings=(),
        make=make,
        missing=lambda _: "",
        price_vendor=vendor,
        default_model=endpoint.default_model,
        has_model=lambda _, model: endpoint.known(model) is not None or not endpoint.default_model,
    )
