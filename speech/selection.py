"""The choice of model, voice and language for a request to a provider."""

from collections.abc import Callable

import msgspec

from speech.base import Part, Provider, SpeechError
from speech.languages import parse
from speech.providers.registry import SpeechProviderRegistry


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """The configured defaults. A provider that lacks one uses the first of its own."""

    stt_model: str
    tts_model: str
    voice: str

    def model(self, provider: Provider, part: Part) -> str:
        own = models_of(provider, part)
        configured = self.stt_model if part == "transcription" else self.tts_model
        return configured if configured in own or (provider.any_model and configured) else own[0]

    def voice_of(self, provider: Provider, model: str) -> str:
        return self.voice if provider.knows_voice(self.voice, model) else provider.voices(model)[0]


class Choice:
    """The choices for one request to one provider. `notes` report replacements to the caller."""

    def __init__(
        self, provider: Provider, providers: SpeechProviderRegistry, defaults: Defaults, *, named: bool
    ) -> None:
        self.notes: list[str] = []
        self._provider = provider
        self._providers = providers
        self._defaults = defaults
        self._named = named

    def model(self, requested: str | None, part: Part) -> str:
        """Return the model to use. Raises `SpeechError` (`unknown_model`)."""
        provider, default = self._provider, self._defaults.model(self._provider, part)
        own = models_of(provider, part)
        if requested is None or requested in own or provider.any_model:
            return requested or default
        if self._is_of_another(f"the model {requested}", default, lambda other: requested in models_of(other, part)):
            return default
        raise SpeechError(
            f"Unknown {part} model {requested[:80]!r} for the speech provider {provider.name}. "
            f"Valid: {', '.join(own)}.",
            code="unknown_model",
        )

    def voice(self, requested: str | None, model: str) -> str:
        """Return the voice to use. Raises `SpeechError` (`unknown_voice`)."""
        provider, default = self._provider, self._defaults.voice_of(self._provider, model)
        if requested is None or provider.knows_voice(requested, model):
            return requested or default
        if self._is_of_another(
            f"the voice {requested}",
            default,
            lambda other: any(other.knows_voice(requested, own) for own in other.tts_models),
        ):
            return default
        raise SpeechError(
            f"Unknown voice {requested[:80]!r} for the speech provider {provider.name} and its model {model}. "
            f"Valid: {', '.join(provider.voices(model))}.",
            code="unknown_voice",
        )

    def language(self, requested: str | None) -> str | None:
        """Return the language tag to use. Raises `SpeechError` (`unknown_language`)."""
        if requested is None:
            return None
        tag = parse(requested)
        if tag.language not in self._provider.languages:
            raise SpeechError(
                f"The speech provider {self._provider.name} does not support the language {requested[:80]!r}. "
                f"Valid: {', '.join(self._provider.languages)}.",
                code="unknown_language",
            )
        return f"{tag.language}-{tag.rest}" if tag.rest else tag.language

    def _is_of_another(self, name: str, default: str, has: Callable[[Provider], bool]) -> bool:
        # If the caller names no provider, it cannot know which one serves. So another provider's model or voice is
        # replaced by a default instead of rejected.
        if self._named:
            return False
        owner = next((other for other in self._providers.names if has(self._providers.made(other))), None)
        if owner:
            self.notes.append(f"{name} belongs to {owner}: {self._provider.name} used {default}")
        return owner is not None


def models_of(provider: Provider, part: Part) -> tuple[str, ...]:
    return provider.stt_models if part == "transcription" else provider.tts_models
