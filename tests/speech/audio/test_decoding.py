"""Covers `speech.audio.mp3`, `speech.audio.truncation`."""

import io
import struct
from contextlib import suppress

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.audio.decoding import Decoder
from speech.audio.encoding import Encoder
from speech.base import SAMPLE_RATE, AudioFormat, AudioKind, SpeechError
from tests.speech.recordings import long_silence, pitch, recording, silence, tone

MOST = 60.0


def decoded(audio: bytes, said: AudioKind | None = None, most: float = MOST) -> bytes:
    return b"".join(Decoder(audio, said, rate=SAMPLE_RATE, max_seconds=most).blocks())


def refused(audio: bytes, said: AudioKind | None = None, most: float = MOST) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        decoded(audio, said, most)
    return caught.value


def in_container(container: str, codec: str, rate: int = 48_000, layout: str = "mono") -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        source = Decoder(recording("wav"), None, rate=rate, max_seconds=MOST)
        stream.codec_context.bit_rate = 64_000
        stream.codec_context.format = stream.codec_context.codec.audio_formats[0]
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
        for block in source.blocks():
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(block) // 2)
            frame.planes[0].update(block + bytes(frame.planes[0].buffer_size - len(block)))
            frame.sample_rate = rate
            for each in resampler.resample(frame):
                output.mux(stream.encode(each))
        output.mux(stream.encode(None))
    return sink.getvalue()


def header(channels: int, rate: int, size: int) -> bytes:
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + head + b"data" + struct.pack("<I", size)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "kind"),
    [
        ("amr", "libopencore_amrnb", 8_000, "amr"),
        ("aiff", "pcm_s16be", 16_000, "aiff"),
        ("au", "pcm_s16be", 16_000, "au"),
        ("caf", "pcm_s16be", 16_000, "caf"),
        ("mp2", "mp2", 16_000, "mp2"),
        ("mp2", "mp2", 48_000, "mp2"),
        ("ac3", "ac3", 48_000, "ac3"),
        ("eac3", "eac3", 48_000, "eac3"),
        ("asf", "wmav2", 44_100, "wma"),
        ("mov", "pcm_s16be", 48_000, "mp4"),
    ],
)
def test_audio_of_phones_and_recorders_is_decoded_and_checked(
    container: str, codec: str, rate: int, kind: AudioKind
) -> None:
    audio = in_container(container, codec, rate)
    decoder = Decoder(audio, None, rate=SAMPLE_RATE, max_seconds=MOST)
    samples = b"".join(decoder.blocks())
    assert decoder.kind == kind
    assert pitch(samples) == pytest.approx(440, rel=0.05)
    # The others have no length, and their decoders fill a frame that is cut off.
    if kind not in {"mp2", "ac3", "eac3"}:
        assert refused(audio[: len(audio) // 2 + 7]).code == "invalid_audio"


@pytest.mark.parametrize("format_", ["mp3", "opus", "aac", "flac", "wav"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_recording_is_rejected(format_: AudioFormat, part: float) -> None:
    audio = recording(format_, 4.0)
    error = refused(audio[: int(len(audio) * part)])
    assert error.code == "invalid_audio"
    assert "cut off" in str(error)


@pytest.mark.parametrize("format_", ["mp3", "aac"])
@pytest.mark.parametrize("part", [0.3, 0.61, 0.9])
def test_stream_of_unknown_length_must_end_with_a_whole_frame(format_: AudioFormat, part: float) -> None:
    encoder = Encoder(format_)
    audio = encoder.add(tone(4.0)) + encoder.end()
    assert len(decoded(audio)) / 2 / SAMPLE_RATE == pytest.approx(4.0, abs=0.1)
    assert "cut off" in str(refused(audio[: int(len(audio) * part)]))


def test_tag_after_the_last_frame_is_ignored() -> None:
    for tag in (b"TAG" + b"A title".ljust(125, b"\0"), b"APETAGEX" + b"\xd0\x07\0\0".ljust(24, b"\0")):
        assert pitch(decoded(recording("mp3") + tag)) == pytest.approx(440, rel=0.05)


@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(b"RIFF\x00\x00\x00\x00WAVE" + b"x" * 40, id="wav without chunks"),
        pytest.param(b"fLaC" + bytes(400), id="flac of zeros"),
        pytest.param(b"OggS" + b"\xff" * 300, id="ogg of ones"),
        pytest.param(b"\xff\xf1" + bytes(300), id="aac of zeros"),
        pytest.param(b"\x1aE\xdf\xa3webm" + bytes(300), id="webm of zeros"),
        pytest.param(b"\x00\x00\x00\x20ftypM4A " + bytes(300), id="mp4 without a movie"),
        pytest.param(b"\xff\xfb\x90\x00" + bytes(400), id="mp3 of one head"),
        pytest.param(recording("flac")[:200] + bytes(3_000), id="flac that turns into zeros"),
        pytest.param(recording("mp3")[:300] + b"garbage " * 2_000, id="mp3 that turns into garbage"),
        pytest.param(header(1, SAMPLE_RATE, 0), id="wav without a sample"),
        pytest.param(header(0, SAMPLE_RATE, 200) + bytes(200), id="wav without a channel"),
        pytest.param(header(200, SAMPLE_RATE, 4_000) + bytes(4_000), id="wav with 200 channels"),
        pytest.param(header(1, 1_000_000_000, 4_000) + bytes(4_000), id="wav with 1 GHz"),
        pytest.param(header(1, 1, 4_000) + bytes(4_000), id="wav with 1 Hz"),
    ],
)
def test_damaged_recording_is_rejected(audio: bytes) -> None:
    assert refused(audio).code == "invalid_audio"


def test_compression_bomb_is_decoded_only_up_to_the_limit() -> None:
    bomb = long_silence(2.0)
    assert len(bomb) < 1_500_000
    decoder = Decoder(bomb, None, rate=16_000, max_seconds=30.0)
    with pytest.raises(SpeechError, match=r"longer than 30 s \(SPEECH_MAX_AUDIO_SECONDS\)") as caught:
        for _ in decoder.blocks():
            pass
    assert caught.value.code == "audio_too_long"
    assert decoder.seconds < 31


@pytest.mark.parametrize("format_", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_output_format_can_be_decoded(format_: AudioFormat) -> None:
    samples = decoded(recording(format_, 2.0), "pcm" if format_ == "pcm" else None)
    assert len(samples) / 2 / SAMPLE_RATE == pytest.approx(2.0, abs=0.1)
    assert pitch(samples) == pytest.approx(440, rel=0.05)


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("ogg", "libopus"), ("mp4", "aac")])
def test_recordings_of_browsers_and_phones_can_be_decoded(container: str, codec: str) -> None:
    samples = decoded(in_container(container, codec))
    assert len(samples) / 2 / SAMPLE_RATE == pytest.approx(1.0, abs=0.1)
    assert pitch(samples) == pytest.approx(440, rel=0.05)


def test_files_of_another_library_can_be_decoded() -> None:
    for container, codec in (("OGG", "VORBIS"), ("FLAC", "PCM_24"), ("WAV", "FLOAT"), ("MP3", "MPEG_LAYER_III")):
        sink = io.BytesIO()
        soundfile.write(sink, np.frombuffer(tone(1.0), "<i2") / 32_768, SAMPLE_RATE, codec, format=container)
        assert pitch(decoded(sink.getvalue())) == pytest.approx(440, rel=0.05)


def test_channels_are_mixed_to_one() -> None:
    samples = decoded(in_container("wav", "pcm_s16le", layout="stereo"))
    assert pitch(samples) == pytest.approx(440, rel=0.05)


def test_wav_of_unknown_length_is_complete() -> None:
    unknown = header(1, SAMPLE_RATE, 0xFFFFFFFF - 36)
    assert len(decoded(unknown + tone(1.0))) == SAMPLE_RATE * 2


def test_silence_is_valid_audio() -> None:
    assert decoded(header(1, SAMPLE_RATE, SAMPLE_RATE * 2) + silence(1.0)) == silence(1.0)


def with_title(title: bytes) -> bytes:
    """Return a WAV file with a tag of these bytes (RIFF INFO, INAM)."""
    audio = recording("wav")
    tag = b"INAM" + struct.pack("<I", len(title)) + title + bytes(len(title) % 2)
    chunk = b"LIST" + struct.pack("<I", 4 + len(tag)) + b"INFO" + tag
    return b"RIFF" + struct.pack("<I", len(audio) - 8 + len(chunk)) + audio[8:] + chunk


@pytest.mark.parametrize("title", [b"Caf\xe9", b"\xff\xfe\x00", "日本".encode("shift-jis"), b"", b"a" * 10_000])
def test_recording_with_a_tag_in_any_encoding_is_decoded(title: bytes) -> None:
    assert decoded(with_title(title)) == decoded(recording("wav"))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_recording_is_decoded_or_refused(data: st.DataObject) -> None:
    audio = bytearray(recording(data.draw(st.sampled_from(["wav", "mp3", "flac", "aac", "opus"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        audio[data.draw(st.integers(0, min(len(audio), 600) - 1))] = data.draw(st.integers(0, 255))
    # Any other exception fails the test.
    with suppress(SpeechError):
        decoded(bytes(audio))
