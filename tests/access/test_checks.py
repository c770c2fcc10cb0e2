"""Misconfiguration of who may call."""

import pytest
from pytest_django import Settings

from access.checks import check_api_key


@pytest.mark.parametrize(("key", "ids"), [("", []), ("secret", ["access.W001"]), ("a" * 16, [])])
def test_a_key_that_can_be_guessed_is_told(settings: Settings, key: str, ids: list[str]) -> None:
    settings.API_KEY = key
    assert [message.id for message in check_api_key()] == ids
