"""The prices of speech models, by the second and by the character. An unknown price is None, never 0."""

from typing import Final

# These prices were written down without access to the vendors' pages. Compare them before you rely on them.
WRITTEN: Final = "2026-11-22"

SOURCES: Final = (
    "https://platform.openai.com/docs/pricing",
    "https://cloud.google.com/speech-to-text/pricing",
    "https://cloud.google.com/text-to-speech/pricing",
)
MINUTE: Final = 60
MILLION: Final = 1_000_000

# The price list of the chat models has 0 for speech models, so speech needs a table of its own. For models that are
# billed by audio tokens, this is the vendor's own estimate per minute; a model without an estimate is not listed.
USD_PER_MINUTE: Final = {
    ("openai", "whisper-1"): 0.006,
    ("openai", "gpt-4o-transcribe"): 0.006,
    ("openai", "gpt-4o-mini-transcribe"): 0.003,
    ("openai", "gpt-transcribe"): 0.0045,
    ("google", "latest_long"): 0.024,
    ("google", "latest_short"): 0.024,
    ("google", "telephony"): 0.024,
    ("google", "telephony_short"): 0.024,
    ("google", "command_and_search"): 0.024,
    ("google", "default"): 0.024,
}
# WaveNet is missing, because the sources disagree about its price.
USD_PER_MILLION_CHARACTERS: Final = {
    ("openai", "tts-1"): 15.0,
    ("openai", "tts-1-hd"): 30.0,
    ("google", "standard"): 4.0,
    ("google", "neural2"): 16.0,
    ("google", "studio"): 160.0,
    ("google", "chirp3-hd"): 30.0,
}


def price_of_seconds(provider: str, model: str, seconds: float | None) -> float | None:
    """Return the price of a transcription in USD."""
    price = USD_PER_MINUTE.get((provider, model))
    return None if price is None or seconds is None else round(price * seconds / MINUTE, 8)


def price_of_text(provider: str, model: str, characters: int) -> float | None:
    """Return the price of a synthesis in USD."""
    price = USD_PER_MILLION_CHARACTERS.get((provider, model))
    return None if price is None else round(price * characters / MILLION, 8)
