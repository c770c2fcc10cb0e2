"""Secrets of OAuth at rest."""

from typing import Any

import pytest

from tools.mcp_oauth.credentials import Tokens
from tools.mcp_oauth.sealed import seal, unseal

TOKENS = Tokens(access="access-token", refresh="refresh-token", expires=1.0)


def test_value_can_be_read_in_its_own_row_only() -> None:
    text = seal("wiki", "user:1", TOKENS)
    assert "access-token" not in text
    assert unseal("wiki", "user:1", text, Tokens) == TOKENS
    assert unseal("wiki", "user:2", text, Tokens) is None
    assert unseal("tracker", "user:1", text, Tokens) is None


@pytest.mark.parametrize("text", ["", "x", "gAAAAA", "\u00e4", "A" * 5_000])
def test_damaged_text_is_no_value(text: str) -> None:
    assert unseal("wiki", "user:1", text, Tokens) is None


def test_text_of_another_secret_key_is_no_value(settings: Any) -> None:
    text = seal("wiki", "user:1", TOKENS)
    settings.SECRET_KEY = "another-secret-key-of-the-service"
    assert unseal("wiki", "user:1", text, Tokens) is None
