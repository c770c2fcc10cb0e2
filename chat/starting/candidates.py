"""The providers and models that may answer a request.

ImagesUnsupported     the chosen provider accepts no images
ModelUnknown          the chosen provider has no such model
"""

from chat.engine.retry import Candidate
from chat.providers.registry import NotConfigured, ProviderRegistry, UnknownProvider
from chat.starting.request import RunRequest


class ImagesUnsupported(Exception):
    """The chosen provider accepts no images."""


class ModelUnknown(Exception):
    """The chosen provider has no such model."""


def candidates(providers: ProviderRegistry, request: RunRequest) -> tuple[Candidate, ...]:
    """Return the models to call, in order; none if the request only runs tools.

    Raise `UnknownProvider`, `NotConfigured`, `ModelUnknown` and `ImagesUnsupported`.
    """
    if not request.asks_model:
        if request.provider:
            providers.get(request.provider)
        return ()
    first, *others = providers.candidates(request.provider, request.model)
    provider = providers.get(first.provider.name)
    if not provider.has_model(first.model):
        raise ModelUnknown(f"{provider.name} has no model {first.model!r}; its default is {provider.default_model}.")
    if request.images and not provider.supports_images:
        raise ImagesUnsupported(f"{provider.name} does not support images.")
    return (first, *(other for other in others if not request.images or other.supports_images))


def candidates_again(providers: ProviderRegistry, request: RunRequest) -> tuple[Candidate, ...]:
    """Return the models for a run that continues; none if its provider is no longer configured."""
    if not request.provider:
        return ()
    try:
        return providers.candidates(request.provider, request.model)
    except (NotConfigured, UnknownProvider):
        return ()
