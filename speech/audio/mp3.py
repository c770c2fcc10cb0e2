"""Headers of MP3 frames (ISO/IEC 11172-3, section 2.4.1.3, and 13818-3, section 2.4.2.3)."""

from typing import Final

HEADER_BYTES: Final = 4
# The bit rates of layer III, by whether it is MPEG-1. 0 is the free format, which does not declare its rate.
KILOBITS: Final = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}

# Samples a second, by the number of the version.
RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def frame_bytes(header: bytes) -> int:
    """Return the size of the frame with this header; 0 if it is not a header or does not declare a rate."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, rate, bits = header[1] >> 3 & 3, header[2] >> 2 & 3, header[2] >> 4
    if version not in RATES or rate > 2 or bits > 14:
        return 0
    # A frame has 1152 samples in MPEG-1 and 576 in MPEG-2 and 2.5: 144 or 72 bytes for each bit of a sample.
    is_first = version == 3
    padding = header[2] >> 1 & 1
    return (144 if is_first else 72) * KILOBITS[is_first][bits] * 1_000 // RATES[version][rate] + padding
