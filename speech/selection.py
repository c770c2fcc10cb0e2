"""Which model, voice and language a provider uses for a request."""

from collections.abc import Callable

import msgspec

from speech.base import Part, Provider, SpeechError
from speech.languages import parse
from speech.providers.registry import SpeechProviderRegistry


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What is used where the caller does not say, by each provider that knows it; others use the first of their own."""

    stt_model: str
    tts_model: str
    voice: str

    def model(self, provider: Provider, part: Part) -> str:
        own = models_of(provider, part)
        wanted = self.stt_model if part == "transcription" else self.tts_model
        return wanted if wanted in own or (provider.any_model and wanted) else own[0]

    def voice_of(self, provider: Provider, model: str) -> str:
        return self.voice if provider.knows_voice(self.voice, model) else provider.voices(model)[0]


class Choice:
    """One provider's part in one request. `told` is what the caller should know of it.

    Where the caller did not say who should serve, another provider's model or voice is no mistake: it is replaced.
    """

    def __init__(
        self, provider: Provider, providers: SpeechProviderRegistry, defaults: Defaults, *, named: bool
    ) -> None:
        self.told: list[str] = []
        self._provider = provider
        self._providers = providers
        self._defaults = defaults
        self._named = named

    def model(self, wanted: str | None, part: Part) -> str:
        """Raises `SpeechError` (`unknown_model`)."""
        provider, default = self._provider, self._defaults.model(self._provider, part)
        own = models_of(provider, part)
        if wanted is None or wanted in own or provider.any_model:
            return wanted or default
        if self._is_of_another(f"the model {wanted}", default, lambda other: wanted in models_of(other, part)):
            return default
        raise SpeechError(
            f"The speech provider {provider.name} has no {part} model {wanted[:80]!r}; valid are {', '.join(own)}.",
            code="unknown_model",
        )

    def voice(self, wanted: str | None, model: str) -> str:
        """Raises `SpeechError` (`unknown_voice`)."""
        provider, default = self._provider, self._defaults.voice_of(self._provider, model)
        if wanted is None or provider.knows_voice(wanted, model):
            return wanted or default
        if self._is_of_another(
            f"the voice {wanted}",
            default,
            lambda other: any(other.knows_voice(wanted, own) for own in other.tts_models),
        ):
            return default
        raise SpeechError(
            f"The speech provider {provider.name} has no voice {wanted[:80]!r} in the model {model}; valid are "
            f"{', '.join(provider.voices(model))}.",
            code="unknown_voice",
        )

    def language(self, wanted: str | None) -> str | None:
        """Raises `SpeechError` (`unknown_language`)."""
        if wanted is None:
            return None
        tag = parse(wanted)
        if tag.language not in self._provider.languages:
            raise SpeechError(
                f"The speech provider {self._provider.name} does not understand the language {wanted[:80]!r}; valid "
                f"are {', '.join(self._provider.languages)}.",
                code="unknown_language",
            )
        return f"{tag.language}-{tag.rest}" if tag.rest else tag.language

    def _is_of_another(self, what: str, default: str, has: Callable[[Provider], bool]) -> bool:
        if self._named:
            return False
        owner = next((name for name in self._providers.names if has(self._providers.made(name))), None)
        if owner:
            self.told.append(f"{what} is {owner}'s: {self._provider.name} used {default}")
        return owner is not None


def models_of(provider: Provider, part: Part) -> tuple[str, ...]:
    return provider.stt_models if part == "transcription" else provider.tts_models
