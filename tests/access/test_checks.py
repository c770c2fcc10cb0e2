"""System checks of the access settings."""

import pytest
from pytest_django import Settings

from access.checks import check_api_key


@pytest.mark.parametrize(("key", "ids"), [("", []), ("secret", ["access.W001"]), ("a" * 16, [])])
def test_guessable_key_is_reported_by_the_system_check(settings: Settings, key: str, ids: list[str]) -> None:
    settings.API_KEY = key
    assert [message.id for message in check_api_key()] == ids
