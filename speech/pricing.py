"""What speech costs, by the second and by the character. A price that is not known is None, never 0.

The data behind chat's prices has 0 for these, and vendors list them apart. Of models that are billed by tokens of audio
the vendor's own estimate by the minute stands here; where it gives none, nothing does.
"""

from typing import Final

WRITTEN: Final = "2026-11-22"
"""When this was written down, without the vendors' own pages at hand: look at them before you rely on it."""

SOURCES: Final = (
    "https://platform.openai.com/docs/pricing",
    "https://cloud.google.com/speech-to-text/pricing",
    "https://cloud.google.com/text-to-speech/pricing",
)
MINUTE: Final = 60
MILLION: Final = 1_000_000

USD_PER_MINUTE: Final = {
    ("openai", "whisper-1"): 0.006,
    ("openai", "gpt-4o-transcribe"): 0.006,
    ("openai", "gpt-4o-mini-transcribe"): 0.003,
    ("google", "latest_long"): 0.024,
    ("google", "latest_short"): 0.024,
    ("google", "telephony"): 0.024,
    ("google", "telephony_short"): 0.024,
    ("google", "command_and_search"): 0.024,
    ("google", "default"): 0.024,
}
USD_PER_MILLION_CHARACTERS: Final = {
    ("openai", "tts-1"): 15.0,
    ("openai", "tts-1-hd"): 30.0,
    ("google", "standard"): 4.0,
    ("google", "neural2"): 16.0,
    ("google", "studio"): 160.0,
    ("google", "chirp3-hd"): 30.0,
}
"""Without WaveNet, of whose price sources differ."""


def price_of_seconds(provider: str, model: str, seconds: float | None) -> float | None:
    """USD of a transcription."""
    price = USD_PER_MINUTE.get((provider, model))
    return None if price is None or seconds is None else round(price * seconds / MINUTE, 8)


def price_of_text(provider: str, model: str, characters: int) -> float | None:
    """USD of a synthesis."""
    price = USD_PER_MILLION_CHARACTERS.get((provider, model))
    return None if price is None else round(price * characters / MILLION, 8)
