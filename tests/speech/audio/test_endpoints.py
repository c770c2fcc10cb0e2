"""Covers `speech.audio.endpoints`, `speech.audio.sentence_buffer`, `speech.audio.wav`."""

import wave
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.audio.endpoints import SILENCE_SECONDS, EndpointDetector
from speech.audio.sentence_buffer import MAX_SENTENCE_CHARACTERS, SentenceBuffer
from speech.audio.wav import wav_of
from tests.speech.recordings import silence, tone

RATE = 16_000


def changes(samples: bytes, detector: EndpointDetector | None = None) -> list[tuple[str, float]]:
    """Return the changes, and the second at the end of the window that made each."""
    detector = detector or EndpointDetector(RATE)
    size = detector.window_bytes
    windows = (samples[start : start + size] for start in range(0, len(samples) - size + 1, size))
    found = [(detector.take(window), place) for place, window in enumerate(windows, 1)]
    return [(change, place * size / 2 / RATE) for change, place in found if change]


def scaled(samples: bytes, factor: int) -> bytes:
    return b"".join((sample // factor).to_bytes(2, "little", signed=True) for sample in memoryview(samples).cast("h"))


def test_speech_begins_soon_and_ends_after_silence() -> None:
    found = changes(silence(0.5, RATE) + tone(1.0, RATE) + silence(2.0, RATE))
    assert [change for change, _ in found] == ["started", "ended"]
    assert found[0][1] == pytest.approx(0.56, abs=0.03)
    assert found[1][1] == pytest.approx(1.5 + SILENCE_SECONDS, abs=0.03)


def test_click_and_short_pause_change_nothing() -> None:
    assert changes(silence(0.5, RATE) + tone(0.03, RATE) + silence(1.0, RATE)) == []
    paused = tone(0.5, RATE) + silence(SILENCE_SECONDS - 0.1, RATE) + tone(0.5, RATE)
    assert [change for change, _ in changes(paused)] == ["started"]


def test_steady_background_is_no_speech_and_a_voice_above_it_is() -> None:
    noise = scaled(tone(3.0, RATE), 20)
    detector = EndpointDetector(RATE)
    assert changes(noise, detector) == []
    assert [change for change, _ in changes(tone(0.5, RATE) + noise, detector)] == ["started", "ended"]


@given(st.text(max_size=900), st.lists(st.integers(0, 900), max_size=20))
def test_buffered_sentences_do_not_depend_on_the_pieces(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    buffer = SentenceBuffer()
    found = [sentence for start, end in pairwise(places) for sentence in buffer.add(text[start:end])]
    found += buffer.end()
    assert all(0 < len(sentence) <= MAX_SENTENCE_CHARACTERS for sentence in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_sentence_leaves_the_buffer_when_the_next_one_begins() -> None:
    buffer = SentenceBuffer()
    assert list(buffer.add("Pi is 3.14. It")) == ["Pi is 3.14."]
    assert list(buffer.add(" goes")) == []
    assert list(buffer.end()) == ["It goes"]
    assert list(SentenceBuffer().add("word " * 100)) == ["word " * 59 + "word"]


def test_samples_become_a_wav_file() -> None:
    with wave.open(BytesIO(wav_of(tone(0.5, 8_000), 8_000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (
            1,
            2,
            8_000,
            4_000,
        )
