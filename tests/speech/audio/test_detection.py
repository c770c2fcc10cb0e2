import pytest

from speech.audio.detection import kind_of
from speech.base import AudioFormat, AudioKind, SpeechError
from tests.speech.recordings import recording, tone


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "is empty"),
        (b"hello, this is a letter", "68 65 6c 6c"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "89 50 4e 47"),
        (b"%PDF-1.7", "25 50 44 46"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "52 49 46 46"),
        (b"\xff", "ff"),
        (b"\xff\xff\xff\xff", "ff ff ff ff"),
        (b"#EXTM3U\nfile:///etc/passwd", "23 45 58 54"),
        (b"ffconcat version 1.0\nfile /etc/passwd", "66 66 63 6f"),
        (bytes(400), "00 00 00 00"),
    ],
)
def test_unknown_format_is_rejected_with_the_known_ones(data: bytes, found: str) -> None:
    with pytest.raises(SpeechError, match=r"WAV, MP3, FLAC, Ogg \(Opus or Vorbis\), AAC, WebM, MP4") as caught:
        kind_of(data)
    assert caught.value.code == "invalid_audio"
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("format_", "kind"), [("mp3", "mp3"), ("opus", "ogg"), ("aac", "aac"), ("flac", "flac"), ("wav", "wav")]
)
def test_format_is_detected_from_the_bytes_whatever_is_declared(format_: AudioFormat, kind: AudioKind) -> None:
    assert kind_of(recording(format_), "pcm") == kind


def test_format_after_a_tag_is_detected_from_the_frames() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x05....."
    assert kind_of(tag + b"\xff\xf1\x50\x80") == "aac"
    assert kind_of(tag + b"\xff\xfb\x90\x00") == "mp3"


def test_raw_samples_need_a_declared_format() -> None:
    assert kind_of(tone(0.1), "pcm") == "pcm"
    with pytest.raises(SpeechError, match="set format to pcm"):
        kind_of(tone(0.1))
