"""The author of commits.

Covers `tools.committing.identity`.
"""

import pytest

from spending.accounts import Payer
from tools.committing.identity import Identity, email_template, name_template


def test_author_is_filled_in_from_the_caller() -> None:
    identity = Identity(name="Bot ({owner}, {key})", email="{owner}+{key}@example.org")
    variables = identity.environment(Payer(owner="user:7 <x>\n", key="k 1"))

    assert variables["GIT_AUTHOR_NAME"] == variables["GIT_COMMITTER_NAME"] == "Bot (user:7 x, k 1)"
    assert variables["GIT_AUTHOR_EMAIL"] == variables["GIT_COMMITTER_EMAIL"] == "user-7--x--+k-1@example.org"
    assert Identity(name="{owner}").environment(Payer(owner="<>"))["GIT_AUTHOR_NAME"] == "unnamed"


def test_empty_templates_are_the_defaults() -> None:
    assert name_template("") == "{owner}"
    assert email_template("") == "{owner}@orchestrator.invalid"


@pytest.mark.parametrize("text", ["a <b", "{user}", "a\nb", "{owner.__class__}"])
def test_invalid_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unlike"):
        name_template(text)


@pytest.mark.parametrize("text", ["a", "a@b@c", "a b@c", "{user}@c"])
def test_invalid_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unlike"):
        email_template(text)
