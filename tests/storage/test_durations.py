from datetime import timedelta

import pytest

from storage import durations


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        (" 2W ", timedelta(weeks=2)),
        ("99999h", timedelta(hours=99_999)),
    ],
)
def test_age_is_a_number_and_a_unit(text: str, meant: timedelta) -> None:
    assert durations.parse_duration(text) == meant


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5d", "30 d", "1d2h", "30m", "∞d", "٣d", "100000w"])
def test_invalid_age_is_rejected_with_the_valid_format(text: str) -> None:
    with pytest.raises(ValueError, match="is not an age: give a number and h, d or w, such as 12h, 30d or 2w"):
        durations.parse_duration(text)
