"""Heads of MP3 frames (ISO/IEC 11172-3, section 2.4.1.3, and 13818-3, section 2.4.2.3)."""

from typing import Final

HEAD_BYTES: Final = 4
KILOBITS: Final = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of layer III, by whether it is MPEG-1; 0 is a rate that the head does not tell."""

RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Samples a second, by the number of the version."""


def frame_bytes(head: bytes) -> int:
    """How long the frame is that begins like this; 0 where it is none, or does not tell."""
    if len(head) < HEAD_BYTES or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate, bits = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version not in RATES or rate > 2 or bits > 14:
        return 0
    is_first = version == 3
    padding = head[2] >> 1 & 1
    return (144 if is_first else 72) * KILOBITS[is_first][bits] * 1_000 // RATES[version][rate] + padding
