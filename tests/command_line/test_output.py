import json
from io import StringIO

import pytest
from django.core.management import call_command

from command_line.output import as_json


def test_json_has_no_character_that_a_terminal_obeys() -> None:
    value = {"text": "\x1b[31m \x9b \u202e 日本"}
    written = as_json(value)
    assert "日本" in written
    assert not any(character in written for character in "\x1b\x9b\u202e")
    assert json.loads(written) == value


@pytest.mark.django_db
@pytest.mark.parametrize(
    "command",
    [
        ("create_api_key", "ci"),
        ("list_api_keys",),
        ("revoke_api_key", "alice"),
        ("usage",),
        ("usage", "--budgets"),
        ("database_size",),
        ("prune", "--older-than", "30d"),
        ("list_tools",),
        ("list_approvals",),
    ],
    ids=" ".join,
)
def test_command_prints_json_and_nothing_else(command: tuple[str, ...]) -> None:
    call_command("create_api_key", "alice", "--json", stdout=StringIO(), stderr=StringIO())
    out, errors = StringIO(), StringIO()
    call_command(*command, "--json", stdout=out, stderr=errors)
    assert isinstance(json.loads(out.getvalue()), dict)
    assert errors.getvalue() == ""


@pytest.mark.django_db
def test_new_key_as_json_has_the_key_and_its_limits() -> None:
    out = StringIO()
    call_command("create_api_key", "ci", "--scope", "chat", "--budget", "10usd/month", "--json", stdout=out)
    created = json.loads(out.getvalue())
    assert created["key"].startswith(created["prefix"])
    assert (created["name"], created["scopes"], created["budgets"]) == ("ci", ["chat"], ["10usd/month"])
    out = StringIO()
    call_command("list_api_keys", "--json", stdout=out)
    (listed,) = json.loads(out.getvalue())["items"]
    assert listed == {name: value for name, value in created.items() if name != "key"}


@pytest.mark.django_db
@pytest.mark.parametrize(("names", "said"), [([], "0 keys.\n"), (["a"], "1 key.\n"), (["a", "b"], "2 keys.\n")])
def test_number_of_keys_agrees_with_its_noun(names: list[str], said: str) -> None:
    for name in names:
        call_command("create_api_key", name, "--max-runs", "1", stdout=StringIO(), stderr=StringIO())
    out, errors = StringIO(), StringIO()
    call_command("list_api_keys", stdout=out, stderr=errors)
    assert errors.getvalue() == said
    assert out.getvalue().count("; 1 run\n") == len(names)
