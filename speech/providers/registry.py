"""The registry of speech providers, and the order in which they are tried.

To add a provider, write its module in `providers/` and add its entry in `conf.py`.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from speech.base import Part, Provider, SpeechError

# The local provider needs no key and sends nothing to a vendor, so it is tried first if the default is not configured.
FALLBACK: Final = "local"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A provider: its factory, and the reason why it is not configured, or an empty string."""

    name: str
    make: Callable[[], Provider]
    missing: str = ""


class SpeechProviderRegistry:
    """The providers by name. Each is made when it is first needed."""

    def __init__(self, entries: Sequence[Entry], *, default: str) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._made: dict[str, Provider] = {}
        self.default = default

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def missing(self, name: str) -> str:
        """Return the reason why a provider is not configured, or an empty string."""
        return self._entries[name].missing

    def made(self, name: str) -> Provider:
        """Return the provider, configured or not."""
        if name not in self._made:
            self._made[name] = self._entries[name].make()
        return self._made[name]

    def get(self, name: str, part: Part) -> Provider:
        """Return a configured provider that supports `part`. Raises `SpeechError`."""
        if name not in self._entries:
            valid = ", ".join(self._entries)
            raise SpeechError(f"Unknown speech provider {name[:80]!r}. Valid: {valid}.", code="unknown_provider")
        if missing := self.missing(name):
            raise SpeechError(
                f"The speech provider {name} is not configured: {missing}.", code="provider_not_configured"
            )
        provider = self.made(name)
        if not can(provider, part):
            raise SpeechError(
                f"The speech provider {name} does not support {part}. Name another provider.", code="unsupported"
            )
        return provider

    def candidates(self, part: Part) -> tuple[Provider, ...]:
        """Return the providers to try if the caller names none: the default or `local` first, then the others.

        Raises `SpeechError` (`provider_not_configured`) if none is usable.
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
        """True if any configured provider sends data to a vendor."""
        return any(not self.missing(name) and self.made(name).leaves_machine for name in self._entries)


def can(provider: Provider, part: Part) -> bool:
    return provider.transcribes if part == "transcription" else provider.synthesizes
