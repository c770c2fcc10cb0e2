"""The providers and models that may answer a request.

- `ImagesUnsupported`: the chosen provider accepts no images.
- `MessageTooLong`: every context is too short for the message.
- `ModelUnknown`: the chosen provider has no such model.
- `OptionUnsupported`: the chosen provider does not have an option of the request.
"""

import asyncio
from typing import Final

from chat.engine.model_port import SamplingOptions
from chat.engine.retry import Candidate
from chat.pricing.tokenizer import count
from chat.providers.base import Provider
from chat.providers.registry import NotConfigured, ProviderRegistry, UnknownProvider
from chat.starting.request import RunRequest
from web.plurals import counted

MAX_CHARACTER_BYTES: Final = 4


class ImagesUnsupported(Exception):
    """The chosen provider accepts no images."""


class MessageTooLong(Exception):
    """No model that may answer has a context for the message."""


class ModelUnknown(Exception):
    """The chosen provider has no such model."""


class OptionUnsupported(Exception):
    """The chosen provider does not have an option of the request."""


def candidates(providers: ProviderRegistry, request: RunRequest) -> tuple[Candidate, ...]:
    """Return the models to call, in order; none if the request only runs tools.

    Raise `UnknownProvider`, `NotConfigured`, `ModelUnknown`, `ImagesUnsupported` and `OptionUnsupported`.
    """
    if not request.asks_model:
        if request.provider:
            providers.get(request.provider)
        return ()
    first, *others = providers.candidates(request.provider, request.model)
    provider = providers.get(first.provider.name)
    if not provider.has_model(first.model):
        raise ModelUnknown(f"{provider.name} has no model {first.model!r}; its default is {provider.default_model}.")
    if request.images and not first.supports_images:
        raise ImagesUnsupported(f"{provider.name} does not support images.")
    if problem := option_problem(provider, first.model, request.sampling):
        raise OptionUnsupported(problem)
    # A fallback that would ignore a part of the request is none.
    return (
        first,
        *(
            other
            for other in others
            if (not request.images or other.supports_images)
            and not option_problem(providers.get(other.provider.name), other.model, request.sampling)
        ),
    )


def option_problem(provider: Provider, model: str, sampling: SamplingOptions) -> str:
    """Return a sentence on what the provider does not take: options, their values, or fields of its own."""
    missing = [name for name in sampling.chosen if name not in provider.options]
    missing += [f"extra_body.{name}" for name in sampling.extra_body or {} if not provider.takes_field(name)]
    if missing:
        return f"{provider.name} does not have {' and '.join(missing)}. It has {', '.join(sorted(provider.options))}."
    return provider.option_problem(model, sampling)


async def check_length(providers: ProviderRegistry, request: RunRequest, models: tuple[Candidate, ...]) -> None:
    """Raise `MessageTooLong` if the message is longer than the largest context of the models."""
    if not models:
        return
    limit = max(providers.get(model.provider.name).max_context_tokens(model.model) for model in models)
    # A token has at least one byte, and most messages are short.
    if len(request.message) * MAX_CHARACTER_BYTES <= limit or len(request.message.encode()) <= limit:
        return
    tokens = await asyncio.to_thread(count, request.message)
    if tokens > limit:
        raise MessageTooLong(
            f"The message has {counted(tokens, 'token')}, and the model takes at most {limit:,}. Shorten it."
        )


def candidates_again(providers: ProviderRegistry, request: RunRequest) -> tuple[Candidate, ...]:
    """Return the models for a run that continues; none if its provider is no longer configured."""
    if not request.provider:
        return ()
    try:
        return providers.candidates(request.provider, request.model)
    except (NotConfigured, UnknownProvider):
        return ()
