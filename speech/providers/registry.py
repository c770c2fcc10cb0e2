"""Which providers of speech there are, which of them are configured, and in which order they are asked.

Adding a provider: its module in `providers/`, and its entry in `conf.py`.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from speech.base import Part, Provider, SpeechError

FALLBACK: Final = "local"
"""Who serves where the default provider is not configured."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One provider: how to make it, and why it can't be used (empty where it can)."""

    name: str
    make: Callable[[], Provider]
    missing: str = ""


class SpeechProviderRegistry:
    """The providers by name, each made when it is first needed."""

    def __init__(self, entries: Sequence[Entry], *, default: str) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._made: dict[str, Provider] = {}
        self.default = default

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def missing(self, name: str) -> str:
        """Why a provider is not configured; empty where it is."""
        return self._entries[name].missing

    def made(self, name: str) -> Provider:
        """The provider, configured or not."""
        if name not in self._made:
            self._made[name] = self._entries[name].make()
        return self._made[name]

    def get(self, name: str, part: Part) -> Provider:
        """The provider. Raises `SpeechError` where there is none, or where it cannot be used for this."""
        if name not in self._entries:
            valid = ", ".join(self._entries)
            raise SpeechError(f"There is no speech provider {name[:80]!r}; valid are {valid}.", code="unknown_provider")
        if missing := self.missing(name):
            raise SpeechError(
                f"The speech provider {name} is not configured: {missing}.", code="provider_not_configured"
            )
        provider = self.made(name)
        if not can(provider, part):
            raise SpeechError(f"The speech provider {name} has no {part}.", code="unsupported")
        return provider

    def candidates(self, part: Part) -> tuple[Provider, ...]:
        """Who is asked, in order, where the caller names none: the default, or local in its place; then the others.

        Raises `SpeechError` where there is none.
        """
        usable = [name for name in self._entries if not self.missing(name) and can(self.made(name), part)]
        first = self.default if self.default in usable else FALLBACK
        ordered = sorted(usable, key=lambda name: name != first)
        if not ordered:
            reasons = "; ".join(f"{name}: {self.missing(name) or 'has no ' + part}" for name in self._entries)
            raise SpeechError(f"No speech provider is configured ({reasons}).", code="provider_not_configured")
        return tuple(self.made(name) for name in ordered)

    @property
    def reaches_out(self) -> bool:
        """Whether any provider that may be asked is not on this machine."""
        return any(not self.missing(name) and self.made(name).leaves_machine for name in self._entries)


def can(provider: Provider, part: Part) -> bool:
    return provider.transcribes if part == "transcription" else provider.synthesizes
