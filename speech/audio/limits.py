"""The limits of audio."""

from typing import Final

import msgspec

MAX_CHANNELS: Final = 8
# Samples a second. Speech needs more than the minimum, and no recording equipment exceeds the maximum.
MIN_RATE: Final = 1_000
MAX_RATE: Final = 384_000

# A recording counts as damaged if a greater share of its packets cannot be decoded.
MAX_BAD_PACKETS: Final = 0.05

# A whole recording may be this much shorter than it declares, because encoders pad both ends with silence.
MISSING_SECONDS: Final = 0.25
MISSING_PART: Final = 0.02


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one call."""

    # SPEECH_MAX_AUDIO_SECONDS: the length of a recording as it is decoded, not as it declares.
    max_audio_seconds: float = 1_800.0
    # SPEECH_MAX_AUDIO_BYTES: the size of a recording.
    max_audio_bytes: int = 25 * 2**20
    # SPEECH_MAX_CHARACTERS: the length of a text.
    max_characters: int = 20_000
    # SPEECH_MAX_SECONDS: the duration of a call, without the time that its client takes to read.
    max_seconds: float = 300.0
    # SPEECH_MAX_RESULT_BYTES: the audio in the result of a tool.
    max_result_bytes: int = 8 * 2**20
