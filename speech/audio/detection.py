"""The detection of audio formats by the signatures of their containers and streams.

WAV: RFC 2361. MP2, MP3 and ADTS: ISO/IEC 13818-3, 13818-7; ID3v2: https://id3.org/id3v2.4.0-structure. FLAC: RFC 9639.
Ogg: RFC 3533. WebM: RFC 8794. MP4: ISO/IEC 14496-12. AC-3: ETSI TS 102 366. AMR: RFC 4867, section 5.
"""

from typing import Final

from speech.base import AudioKind, SpeechError

ACCEPTED: Final = "WAV, MP3, FLAC, Ogg (Opus or Vorbis), AAC, WebM, MP4, MP2, AC3, AMR, AIFF, AU, CAF or WMA"
ID3_HEADER: Final = 10
EBML: Final = b"\x1a\x45\xdf\xa3"
MATROSKA_HEADER: Final = 64
SIGNATURES: Final[tuple[tuple[bytes, AudioKind], ...]] = (
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"#!AMR", "amr"),
    (b".snd", "au"),
    (b"caff", "caf"),
    # The GUID of ASF's header object.
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wma"),
)
MP4_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide"})
"""First boxes of a file. QuickTime wrote files without `ftyp`."""

LAYERS: Final[dict[int, AudioKind]] = {0x02: "mp3", 0x04: "mp2"}
AC3: Final = b"\x0b\x77"
AC3_BYTES: Final = 6
MAX_AC3_VERSION: Final = 10
MAX_EAC3_VERSION: Final = 16
MEDIA_TYPES: Final[dict[AudioKind, str]] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "webm": "audio/webm",
    "mp4": "audio/mp4",
    "mp2": "audio/mpeg",
    "ac3": "audio/ac3",
    "eac3": "audio/eac3",
    "amr": "audio/amr",
    "aiff": "audio/aiff",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "wma": "audio/x-ms-wma",
    "pcm": "audio/pcm",
}


def kind_of(data: bytes, declared: AudioKind | None = None) -> AudioKind:
    """Return the kind of audio. Raises `SpeechError` (`invalid_audio`) if it is unknown."""
    if not data:
        raise SpeechError(f"The audio is empty. Send {ACCEPTED}.", code="invalid_audio")
    found = _signed(data) or _stream(data)
    if found:
        return found
    # The declared kind counts only for PCM, which has no signature. For all others the bytes are more reliable.
    if declared == "pcm":
        return "pcm"
    raise SpeechError(
        f"This is not audio in a known format (bytes: {len(data)}, beginning with {data[:4].hex(' ')}). "
        f"Send {ACCEPTED}, or set format to pcm for bare samples.",
        code="invalid_audio",
    )


def _signed(data: bytes) -> AudioKind | None:
    """Return the kind of a file that begins with a name, or None."""
    if data[:4] in {b"RIFF", b"RF64"} and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"FORM" and data[8:12] in {b"AIFF", b"AIFC"}:
        return "aiff"
    if data[:4] == EBML and (b"webm" in data[:MATROSKA_HEADER] or b"matroska" in data[:MATROSKA_HEADER]):
        return "webm"
    if data[4:8] in MP4_BOXES:
        return "mp4"
    return next((kind for signature, kind in SIGNATURES if data.startswith(signature)), None)


def _stream(data: bytes) -> AudioKind | None:
    """Return the kind of a stream of frames, or None."""
    # A tag may precede the frames. Its size has seven bits in each byte, so that it never looks like a frame header.
    if data[:3] == b"ID3" and len(data) > ID3_HEADER:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
        return _stream(data[ID3_HEADER + size :][:ID3_HEADER]) or "mp3"
    if data[:2] == AC3 and len(data) >= AC3_BYTES:
        version = data[AC3_BYTES - 1] >> 3
        return "ac3" if version <= MAX_AC3_VERSION else "eac3" if version <= MAX_EAC3_VERSION else None
    # Each frame begins with a sync word: eleven set bits in MP3, twelve in ADTS.
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    if data[1] & 0xF6 == 0xF0:
        return "aac"
    # The values 15 of the bit rate and 3 of the sample rate are not valid (ISO/IEC 11172-3).
    has_rates = data[2] & 0xF0 != 0xF0 and data[2] & 0x0C != 0x0C
    return LAYERS.get(data[1] & 0x06) if has_rates else None
