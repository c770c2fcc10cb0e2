"""The bounds of audio, each with a name and a unit."""

from typing import Final

import msgspec

MAX_CHANNELS: Final = 8
MIN_RATE: Final = 1_000
MAX_RATE: Final = 384_000
"""Samples a second: less is no speech, and more is no recording."""

MAX_BAD_PACKETS: Final = 0.05
"""Of a recording's packets; with more it is damaged."""

MISSING_SECONDS: Final = 0.25
MISSING_PART: Final = 0.02
"""How much shorter than it says a whole recording may be: encoders put silence at the ends."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one call may cost."""

    max_audio_seconds: float = 1_800.0
    """The longest recording (`SPEECH_MAX_AUDIO_SECONDS`): as long as it turns out to be, whatever it says."""

    max_audio_bytes: int = 25 * 2**20
    """The largest recording (`SPEECH_MAX_AUDIO_BYTES`)."""

    max_characters: int = 20_000
    """The longest text (`SPEECH_MAX_CHARACTERS`)."""

    max_seconds: float = 300.0
    """The longest that one call may take (`SPEECH_MAX_SECONDS`)."""

    max_result_bytes: int = 8 * 2**20
    """The most audio that a tool gives back (`SPEECH_MAX_RESULT_BYTES`)."""
