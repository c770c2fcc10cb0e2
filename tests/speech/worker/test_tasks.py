from collections.abc import Iterator

import pytest

from speech.audio.decoding import Decoder
from speech.audio.encoding import Encoder, encoded
from speech.base import FORMATS, AudioFormat
from speech.worker.local_models import WHISPER_RATE
from speech.worker.protocol import AudioChunk, Done
from speech.worker.splitting import parts
from speech.worker.tasks import speak
from tests.speech.recordings import silence, tone


class Voice:
    """A voice that says every sentence as a tone, and records the sentences that it began."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def say(self, sentence: str, speed: float) -> bytes:
        self.begun.append(sentence)
        return tone(1.0)


@pytest.mark.parametrize("format_", FORMATS)
def test_sentence_is_returned_before_the_next_is_begun(format_: AudioFormat) -> None:
    voice = Voice()
    answers: Iterator[object] = speak(iter(("One.", "Two.", "Three.")), lambda: voice, Encoder(format_), 1.0)
    assert isinstance(next(answers), AudioChunk)
    assert voice.begun == ["One."]
    assert isinstance(next(answers), AudioChunk)
    assert voice.begun == ["One.", "Two."]
    assert isinstance(list(answers)[-1], Done)
    assert voice.begun == ["One.", "Two.", "Three."]


def test_long_recording_is_split_at_silence() -> None:
    samples = tone(55.0, WHISPER_RATE) + silence(1.0, WHISPER_RATE) + tone(40.0, WHISPER_RATE)
    decoder = Decoder(encoded(samples, "wav", WHISPER_RATE), None, rate=WHISPER_RATE, max_seconds=200)
    (first, begins), (second, goes_on) = parts(decoder, 60)
    assert begins == 0
    assert 55 < goes_on < 56
    assert first + second == samples
