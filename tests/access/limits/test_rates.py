"""Rate limits in the notation of the settings."""

import pytest

from access.limits.rates import RateInvalid, optional, rate


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        ("60/minute", 60, 60),
        ("5 per second", 5, 1),
        ("1000/2 hours", 1_000, 7_200),
        (" 10/Day ", 10, 86_400),
        ("1/1 seconds", 1, 1),
    ],
)
def test_rate_is_a_number_of_requests_per_period(text: str, amount: int, seconds: int) -> None:
    assert (rate(text).amount, rate(text).get_expiry()) == (amount, seconds)


@pytest.mark.parametrize(
    "text",
    ["lots", "60", "60/", "/minute", "0/minute", "-1/minute", "1.5/minute", "60/fortnight", "60/minute; 5/second",
     "60/0 minutes", "60/minute\n5/second", "9999999999/minute", "1/99999 days", "٦٠/minute", "1e3/minute"],
)  # fmt: skip
def test_malformed_rate_is_rejected(text: str) -> None:
    with pytest.raises(RateInvalid):
        optional(text)


def test_empty_text_is_no_rate() -> None:
    assert optional("") == ""
