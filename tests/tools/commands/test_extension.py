"""The setting that extends the whitelist, and its error messages."""

import pytest

from tests.tools.commands.grounds import ground
from tools.base import ToolError
from tools.commands import WHITELIST, check, extended, split
from tools.commands.limits import MAX_WHITELIST_CHARS


def allowed(setting: str, command: str) -> bool:
    try:
        check(split(command), extended(WHITELIST, setting), ground())
    except ToolError:
        return False
    return True


@pytest.mark.parametrize(
    ("setting", "command", "verdict"),
    [
        ("", "jq . a", False),
        ("jq", "jq . a", True),
        ("jq", "jq -r . a", False),
        ("jq; make:-j[=NUMBER],-k,--dry-run", "make -j4 -k --dry-run all", True),
        ("jq;\n make : -j[=NUMBER] , -k", "make -k", True),
        ("make:-j[=NUMBER]", "make -f other", False),
        ("make:-j[=NUMBER]", "make -jx", False),
        ("node:*", "node --eval x -- y", True),
        ("node:*", "node .env", False),
        ("node:*", "node --env-file=.env", False),
        ("node:*", "node -r../x", False),
        ("node:*", "node /etc/x", False),
        ("cat", "cat -n a", False),
        ("git cat-file:-t", "git cat-file -t HEAD", True),
        ("git cat-file:-t", "git cat-file -p HEAD", False),
        ("git cat-file:*", "git cat-file -p HEAD:.env", False),
    ],
)
def test_setting_adds_and_replaces_entries(setting: str, command: str, verdict: bool) -> None:
    assert allowed(setting, command) is verdict


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("a/b", "not the name of a program"),
        ("two words", "not the name of a program"),
        (":-k", "not the name of a program"),
        ("make:-k,", "empty option"),
        ("make:", "empty option"),
        ("make:k", "write an option as"),
        ("make:-j=COUNT", "no known kind of value"),
        ("make:-j==NUMBER", "write an option as"),
        ("make; make:-k", "twice"),
        ("git", "git NAME"),
        ("git:*", "git NAME"),
        ("x" * (MAX_WHITELIST_CHARS + 1), "the maximum is"),
    ],
)
def test_invalid_setting_is_rejected_with_the_valid_form(setting: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        extended(WHITELIST, setting)
