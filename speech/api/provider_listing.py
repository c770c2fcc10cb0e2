"""What `GET /speech/providers` tells."""

from typing import Any

import msgspec

from speech.audio.detection import MEDIA_TYPES
from speech.base import FORMATS, SPEEDS, Part, Provider
from speech.providers.registry import can
from speech.selection import models_of
from speech.service import SpeechService


def list_providers(service: SpeechService) -> dict[str, Any]:
    """All providers, configured or not: what there would be."""
    items = [_provider(service, name) for name in service.providers.names]
    return {
        "items": items,
        "count": len(items),
        "enabled": not service.disabled,
        "limits": msgspec.structs.asdict(service.limits),
    }


def _provider(service: SpeechService, name: str) -> dict[str, Any]:
    provider = service.providers.made(name)
    missing = service.providers.missing(name)
    return {
        "name": name,
        "configured": not missing,
        "reason": missing or None,
        "default": name == service.providers.default,
        "leaves_machine": provider.leaves_machine,
        "streams": provider.streams,
        "segments": provider.tells_times,
        "speed": list(SPEEDS),
        "transcription": _transcription(service, provider) if can(provider, "transcription") else None,
        "synthesis": _synthesis(service, provider) if can(provider, "synthesis") else None,
    }


def _transcription(service: SpeechService, provider: Provider) -> dict[str, Any]:
    models, default = _models(service, provider, "transcription")
    languages = list(provider.languages)
    return {"models": models, "default_model": default, "formats": list(MEDIA_TYPES), "languages": languages}


def _synthesis(service: SpeechService, provider: Provider) -> dict[str, Any]:
    models, default = _models(service, provider, "synthesis")
    return {
        "models": models,
        "default_model": default,
        "formats": list(FORMATS),
        "voices": {model: list(provider.voices(model)) for model in models},
        "default_voice": service.defaults.voice_of(provider, default),
    }


def _models(service: SpeechService, provider: Provider, part: Part) -> tuple[list[str], str]:
    default = service.defaults.model(provider, part)
    return [default, *(name for name in models_of(provider, part) if name != default)], default
