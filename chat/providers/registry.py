"""The registry of providers: which are configured, and which answer a request.

    UnknownProvider       there is no provider of this name
    NotConfigured         the provider lacks a setting, which the message names

`chat.providers.spec` describes how to add a provider.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from chat.engine.retry import Candidate
from chat.providers.base import Provider


class UnknownProvider(Exception):
    """The name of a provider that does not exist."""


class NotConfigured(Exception):
    """The provider cannot be used. The message states why."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that can be made. `missing` states why it cannot, and is empty if it can."""

    name: str
    make: Callable[[], Provider]
    missing: str = ""


class ProviderRegistry:
    """The providers, each made when first needed. Without a `default`, the first configured one is the default."""

    def __init__(self, entries: Sequence[Entry], *, default: str = "", fallback: Sequence[str] = ()) -> None:
        self._entries: Final[Mapping[str, Entry]] = {entry.name: entry for entry in entries}
        self._made: dict[str, Provider] = {}
        self._default = default
        self._fallback = tuple(fallback)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    @property
    def default(self) -> str:
        """The name of the provider that answers if the caller names none. Raises `NotConfigured`."""
        if self._default:
            return self._default
        for name, entry in self._entries.items():
            if not entry.missing:
                return name
        reasons = "; ".join(f"{entry.name}: {entry.missing}" for entry in self._entries.values())
        raise NotConfigured(f"No provider is configured ({reasons}).")

    def missing(self, name: str) -> str:
        """Return why a provider is not configured; an empty string if it is."""
        return self._entries[name].missing

    def get(self, name: str) -> Provider:
        """Return the provider. Raise `UnknownProvider` or `NotConfigured`."""
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownProvider(f"There is no provider {name[:80]!r}. The providers are {', '.join(self._entries)}.")
        if entry.missing:
            raise NotConfigured(f"The provider {name} is not configured: {entry.missing}.")
        if name not in self._made:
            self._made[name] = entry.make()
        return self._made[name]

    def candidates(self, name: str | None, model: str | None) -> tuple[Candidate, ...]:
        """Return the models to call, in order: of the named or default provider, then of the fallbacks.

        Raise `UnknownProvider` or `NotConfigured`.
        """
        first = self.get(name or self.default)
        others = [self.get(other) for other in self._fallback if other != first.name]
        # A fallback does not have the model of another vendor, so it uses its own default.
        return (_candidate(first, model), *(_candidate(other, None) for other in others))

    async def close(self) -> None:
        for provider in self._made.values():
            await provider.close()
        self._made.clear()


def _candidate(provider: Provider, model: str | None) -> Candidate:
    chosen = model or provider.default_model
    if not chosen:
        raise NotConfigured(f"The provider {provider.name} has no default model: name a model.")
    return Candidate(
        provider=provider,
        model=chosen,
        context_tokens=provider.context_tokens(chosen),
        supports_tools=provider.supports(chosen, "tools"),
        supports_images=provider.supports(chosen, "images"),
        supports_schemas=provider.supports(chosen, "schemas"),
    )
