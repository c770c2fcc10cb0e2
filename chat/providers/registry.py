"""Which providers there are, which of them are configured, and who answers a request.

    UnknownProvider       the name is none of ours
    NotConfigured         the provider lacks what it needs; the message says what

Adding a provider: its module beside this one, and its line in `chat/conf.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from chat.engine.retry import Candidate
from chat.providers.base import Provider


class UnknownProvider(Exception):
    """There is no provider of this name."""


class NotConfigured(Exception):
    """The provider can't be used, and why."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One provider: how to make it, and why it can't be made (empty where it can)."""

    name: str
    make: Callable[[], Provider]
    missing: str = ""


class ProviderRegistry:
    """The configured providers, each made when it is first needed. The first one that is configured is the default."""

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
        """The name of the provider that answers where the caller names none. Raises `NotConfigured`."""
        if self._default:
            return self._default
        for name, entry in self._entries.items():
            if not entry.missing:
                return name
        reasons = "; ".join(f"{entry.name}: {entry.missing}" for entry in self._entries.values())
        raise NotConfigured(f"No provider is configured ({reasons}).")

    def missing(self, name: str) -> str:
        """Why a provider is not configured; empty where it is."""
        return self._entries[name].missing

    def get(self, name: str) -> Provider:
        """The provider. Raises `UnknownProvider` or `NotConfigured`."""
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownProvider(f"There is no provider {name[:80]!r}; there are {', '.join(self._entries)}.")
        if entry.missing:
            raise NotConfigured(f"The provider {name} is not configured: {entry.missing}.")
        if name not in self._made:
            self._made[name] = entry.make()
        return self._made[name]

    def candidates(self, name: str | None, model: str | None) -> tuple[Candidate, ...]:
        """Who is asked, in order: the named provider (or the default one), then the fallbacks with their own models.

        Raises `UnknownProvider` or `NotConfigured`.
        """
        first = self.get(name or self.default)
        others = [self.get(other) for other in self._fallback if other != first.name]
        return (_candidate(first, model), *(_candidate(other, None) for other in others))

    async def close(self) -> None:
        for provider in self._made.values():
            await provider.close()
        self._made.clear()


def _candidate(provider: Provider, model: str | None) -> Candidate:
    chosen = model or provider.default_model
    return Candidate(
        provider=provider,
        model=chosen,
        context_tokens=provider.context_tokens(chosen),
        supports_tools=provider.supports_tools,
        supports_images=provider.supports_images,
    )
