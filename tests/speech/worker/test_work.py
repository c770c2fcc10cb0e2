from collections.abc import Iterator

import pytest

from speech.audio.encoding import Encoder
from speech.base import FORMATS, AudioFormat
from speech.worker.messages import Done, Said
from speech.worker.work import speak
from tests.speech.recordings import tone


class Voice:
    """Says every sentence as a hum, and remembers which it has begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def say(self, sentence: str, speed: float) -> bytes:
        self.begun.append(sentence)
        return tone(1.0)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_sentence_is_heard_before_the_next_is_begun(format_: AudioFormat) -> None:
    voice = Voice()
    answers: Iterator[object] = speak(iter(("One.", "Two.", "Three.")), lambda: voice, Encoder(format_), 1.0)
    assert isinstance(next(answers), Said)
    assert voice.begun == ["One."]
    assert isinstance(next(answers), Said)
    assert voice.begun == ["One.", "Two."]
    assert isinstance(list(answers)[-1], Done)
    assert voice.begun == ["One.", "Two.", "Three."]
