import pytest

from speech.pricing import USD_PER_MILLION_CHARACTERS, USD_PER_MINUTE, price_of_seconds, price_of_text


def test_known_prices_are_per_second_and_per_character() -> None:
    assert price_of_seconds("openai", "whisper-1", 90.0) == pytest.approx(0.009)
    assert price_of_text("openai", "tts-1", 1_000) == pytest.approx(0.015)
    assert price_of_text("google", "neural2", 1_000_000) == 16.0


def test_unknown_price_is_none_and_never_zero() -> None:
    assert price_of_seconds("openai", "gpt-next-transcribe", 60.0) is None
    assert price_of_seconds("openai", "whisper-1", None) is None
    assert price_of_text("openai", "gpt-4o-mini-tts", 100) is None
    assert min(*USD_PER_MINUTE.values(), *USD_PER_MILLION_CHARACTERS.values()) > 0
