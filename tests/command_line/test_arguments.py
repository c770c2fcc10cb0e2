from argparse import ArgumentTypeError

import pytest

from command_line.arguments import number


@pytest.mark.parametrize("text", ["", "-1", "0", "65536", "70000", "9" * 5_000, "1.5", "1e3", " 1", "eighty", "٣", "²"])
def test_number_outside_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a number from 1 to 65535"):
        number(1, 65_535)(text)


def test_number_within_its_bounds_is_read() -> None:
    assert [number(1, 65_535)(text) for text in ("1", "080", "65535")] == [1, 80, 65_535]
