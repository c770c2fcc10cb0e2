"""`create_api_key`, `list_api_keys` and `revoke_api_key`, and a service that listens on the network with a key.

Covers `access.management.commands.create_api_key`, `access.management.commands.list_api_keys`,
`access.management.commands.revoke_api_key`.
"""

import os
import re
import subprocess
import urllib.request
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from access.keys.key_format import parse
from access.models import ApiKey
from tests.managing import manage, managed, migrated
from tests.orchestrator_site.test_serve import ROOT, address, refusal, serving

pytestmark = pytest.mark.django_db


def run(name: str, *arguments: str, **options: Any) -> tuple[str, str]:
    """Return what a command wrote to standard output and to standard error."""
    out, errors = StringIO(), StringIO()
    call_command(name, *arguments, stdout=out, stderr=errors, **options)
    return out.getvalue(), errors.getvalue()


def test_only_the_key_is_printed_and_only_its_hash_is_stored() -> None:
    out, errors = run("create_api_key", "ci", "--scope", "chat", "--scope", "git.*", "--rate", "5/second", "--budget",
                      "10usd/month", "--budget", "1usd/run", "--expires", "30d", "--max-runs", "3")  # fmt: skip
    assert re.fullmatch(r"osk_[0-9A-Za-z]{49}\n", out)
    row = ApiKey.objects.get()
    assert row.sha256 == parse(out.strip().encode()).sha256
    assert (row.name, row.scopes, row.rate) == ("ci", ["chat", "git.*"], "5/second")
    assert (row.budgets, row.max_runs, row.user) == (["10usd/month", "1usd/run"], 3, None)
    assert row.expires is not None
    assert "ci may: chat git.*" in errors
    assert out.strip() not in errors


def test_key_of_a_user_has_the_owner_of_that_user() -> None:
    user = User.objects.create_user("alice")
    run("create_api_key", "ci", "--user", "alice")
    assert ApiKey.objects.get().owner == f"user:{user.pk}"
    User.objects.create_user("bob", is_active=False)
    for name in ("bob", "nobody"):
        with pytest.raises(CommandError, match="No active user"):
            run("create_api_key", "other", "--user", name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scope", "shout"], "scopes: 'shout' is not a scope. Valid scopes: chat"),
        (["--scope", "fs.raed"], "scopes: fs.raed matches no tool. Valid names: fs.read"),
        (["--budget", "ten"], "budgets: A budget is an amount"),
        (["--expires", "2020-01-01"], "expires: The expiry is in the past"),
        (["--expires", "later"], "expires: Give a date"),
        (["--rate", "lots"], "rate: A rate is a number of requests"),
        (["--max-runs", "0"], "argument --max-runs: '0' is not a number from 1 to 1000000"),
    ],
)
def test_invalid_argument_is_reported_in_one_sentence(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        run("create_api_key", "ci", *arguments)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert not ApiKey.objects.exists()


def test_all_invalid_arguments_are_reported_at_once() -> None:
    with pytest.raises(CommandError, match=r"name: A name is .*; scopes: 'shout' .*; rate: A rate is "):
        run("create_api_key", "", "--rate", "lots", "--scope", "shout")


@pytest.mark.parametrize("name", ["", "two\nlines", "\x1b[31m", "a" * 65])
def test_name_must_be_one_printable_line(name: str) -> None:
    with pytest.raises(CommandError, match=r"name: A name is 1 to 64 printable"):
        run("create_api_key", name)


def test_keys_are_listed_and_revoked_and_their_names_are_free_again() -> None:
    secret = run("create_api_key", "ci", "--expires", "30d")[0].strip()
    out, errors = run("list_api_keys")
    assert f"{secret[:12]}  ci  until " in out
    assert "last used never" in out
    assert secret not in out + errors
    assert "was revoked" in run("revoke_api_key", "ci")[0]
    assert "ci  revoked" in run("list_api_keys")[0]
    for name, said in (("ci", "revoked before"), ("nobody", "No key has this name")):
        with pytest.raises(CommandError, match=said):
            run("revoke_api_key", name)
    run("create_api_key", "ci")
    assert ApiKey.objects.count() == 2


@pytest.mark.slow
def test_stored_key_allows_the_service_to_listen_on_the_network(tmp_path: Path) -> None:
    assert "create_api_key" in refusal(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    # Neither the refused service nor a command creates a database, in which the key would be of no use.
    (tmp_path / "my.env").write_text(f"DATABASE_URL={tmp_path}/orchestrator.db\nSECRET_KEY=x\n")
    (tmp_path / "linked").symlink_to(ROOT / "bin" / "orchestrator")
    missing = subprocess.run(
        [tmp_path / "linked", "create_api_key", "bob", "--env-file", "my.env"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (missing.returncode, missing.stdout) == (1, "")
    assert re.fullmatch(rf"CommandError: There is no database at {tmp_path}/orchestrator.db. .*\n", missing.stderr)
    assert not (tmp_path / "orchestrator.db").exists()
    done = manage(migrated(tmp_path), "create_api_key", "first")
    assert re.fullmatch(r"osk_[0-9A-Za-z]{49}\n", done.stdout)
    assert re.fullmatch(rf"Database: {tmp_path}/orchestrator.db\nfirst may: [^\n]+\n", done.stderr)
    with serving(tmp_path, "--host", "0.0.0.0") as (output, _):
        assert "Authorization: Bearer $API_KEY" in output
        base = address(output).replace("0.0.0.0", "127.0.0.1")
        headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
        request = urllib.request.Request(f"{base}/tools", headers=headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own server
            assert response.status == 200
    assert "was revoked" in managed(tmp_path, "revoke_api_key", "first")
    with serving(tmp_path, "--host", "0.0.0.0"):
        pass  # After a key was revoked, requests without a key are still rejected.


@pytest.mark.parametrize("name", ["create_api_key", "list_api_keys", "revoke_api_key"])
def test_each_command_has_a_help_text(name: str) -> None:
    command = __import__(f"access.management.commands.{name}", fromlist=["Command"]).Command
    assert issubclass(command, BaseCommand)
    assert command.help.endswith((".", "10usd/month"))
