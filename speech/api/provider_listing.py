"""The body of `GET /speech/providers`."""

from typing import Any

import msgspec

from speech.audio.detection import MEDIA_TYPES
from speech.base import FORMATS, SPEEDS, Part, Provider
from speech.providers.registry import can
from speech.selection import models_of
from speech.service import SpeechService


def describe_providers(service: SpeechService) -> dict[str, Any]:
    """Return all providers and the limits. Providers that are not configured are included, with the reason."""
    items = [_describe(service, name) for name in service.providers.names]
    return {
        "items": items,
        "count": len(items),
        "enabled": not service.disabled,
        "limits": msgspec.structs.asdict(service.limits),
    }


def _describe(service: SpeechService, name: str) -> dict[str, Any]:
    provider = service.providers.made(name)
    missing = service.providers.missing(name)
    transcription = synthesis = None
    if can(provider, "transcription"):
        models, default = _models(service, provider, "transcription")
        transcription = {
            "models": models,
            "default_model": default,
            "formats": list(MEDIA_TYPES),
            "languages": list(provider.languages),
        }
    if can(provider, "synthesis"):
        models, default = _models(service, provider, "synthesis")
        synthesis = {
            "models": models,
            "default_model": default,
            "formats": list(FORMATS),
            "voices": {model: list(provider.voices(model)) for model in models},
            "default_voice": service.defaults.voice_of(provider, default),
        }
    return {
        "name": name,
        "configured": not missing,
        "reason": missing or None,
        "default": name == service.providers.default,
        "leaves_machine": provider.leaves_machine,
        "streams": provider.streams,
        "segments": provider.has_timestamps,
        # Every provider has the full range, because other speeds are made on this machine.
        "speed": list(SPEEDS),
        "transcription": transcription,
        "synthesis": synthesis,
    }


def _models(service: SpeechService, provider: Provider, part: Part) -> tuple[list[str], str]:
    # With `any_model`, the configured default need not be one of the provider's listed models.
    default = service.defaults.model(provider, part)
    return [default, *(name for name in models_of(provider, part) if name != default)], default
