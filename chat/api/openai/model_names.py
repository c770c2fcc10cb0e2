"""The names of models for clients of OpenAI's API: `gpt-5-mini`, `openrouter/gpt-5-mini` and `gpt-5-mini:plain`."""

from typing import Final

import msgspec

from chat.providers.registry import ProviderRegistry

PLAIN: Final = ":plain"
"""The end of the name of a model to which no tool of the service is offered."""


class NamedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model by its name. A `provider` of None is the default one."""

    provider: str | None
    model: str
    is_plain: bool


def named_model(name: str, providers: ProviderRegistry) -> NamedModel:
    """Return the model of this name."""
    model = name.removesuffix(PLAIN)
    is_plain = name.endswith(PLAIN)
    provider, slash, rest = model.partition("/")
    if slash and provider in providers.names:
        return NamedModel(provider=provider, model=rest, is_plain=is_plain)
    # A default model of another provider than the default one is known by its name.
    configured = [one for one in providers.names if not providers.missing(one)]
    known = next((one for one in configured if providers.get(one).default_model == model), None)
    return NamedModel(provider=known, model=model, is_plain=is_plain)
