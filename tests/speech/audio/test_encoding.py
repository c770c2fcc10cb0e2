import io

import pytest
import soundfile

from speech.audio.encoding import Encoder, encoded
from speech.base import FORMATS, SAMPLE_RATE, AudioFormat
from tests.speech.recordings import tone

BLOCK = SAMPLE_RATE // 5 * 2


@pytest.mark.parametrize("format_", ["mp3", "opus", "flac", "wav"])
def test_another_library_decodes_the_same_audio(format_: AudioFormat) -> None:
    samples, rate = soundfile.read(io.BytesIO(encoded(tone(2.0), format_)))
    assert len(samples) / rate == pytest.approx(2.0, abs=0.06)
    assert max(abs(samples)) == pytest.approx(8_000 / 32_768, rel=0.1)


@pytest.mark.parametrize("format_", FORMATS)
def test_encoding_returns_bytes_with_the_first_samples(format_: AudioFormat) -> None:
    encoder = Encoder(format_)
    assert encoder.add(tone(0.4))


@pytest.mark.parametrize("format_", FORMATS)
def test_samples_in_pieces_encode_to_the_same_file(format_: AudioFormat) -> None:
    samples = tone(1.0)
    at_once, in_pieces = Encoder(format_), Encoder(format_)
    whole = at_once.add(samples) + at_once.end()
    pieces = [in_pieces.add(samples[start : start + 4_801]) for start in range(0, len(samples), 4_801)]
    joined = b"".join([*pieces, in_pieces.end()])
    assert len(joined) == pytest.approx(len(whole), rel=0.1)


def test_complete_file_contains_its_length() -> None:
    assert soundfile.info(io.BytesIO(encoded(tone(1.0), "wav"))).frames == SAMPLE_RATE
    assert soundfile.info(io.BytesIO(encoded(tone(1.0), "flac"))).frames == SAMPLE_RATE
