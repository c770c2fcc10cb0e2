"""The addresses that a started service prints: each names a host that it accepts."""

import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from access.network.host_check import is_allowed
from command_line.program import FOLDER, PROGRAM
from orchestrator_site.serving.welcome import welcome

DEFAULT = ["localhost", "127.0.0.1", "[::1]"]


def lines(settings: Any, host: str = "127.0.0.1", *, keyed: bool = True, **changed: Any) -> dict[str, str]:
    for name, value in changed.items():
        setattr(settings, name, value)
    return dict(re.findall(r"^  ([\w ]+): +(.*)$", welcome(host, 8010, keyed=keyed), re.MULTILINE))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "10.0.0.1"])
@pytest.mark.parametrize(
    "hosts", [DEFAULT, ["chat.example.org"], ["localhost"], ["*"], [".example.org"], ["10.0.0.1", "CHAT.example.org"]]
)
def test_every_printed_url_names_an_accepted_host(settings: Any, host: str, hosts: list[str]) -> None:
    found = lines(settings, host, ALLOWED_HOSTS=hosts)
    curl = shlex.split(found["try it"])
    (url,) = [word for word in curl if word.startswith("http://")]
    named = [word.removeprefix("Host: ") for word in curl if word.startswith("Host: ")]
    sent = named[0] if named else urlsplit(url).hostname or ""
    assert is_allowed(sent.lower(), tuple(hosts))
    assert urlsplit(url).port == 8010
    for name in ("playground", "chat", "API", "audit console"):
        (url,) = re.findall(r"http://[^ ]+", found[name])
        assert is_allowed(urlsplit(url).hostname or "", tuple(hosts)), url


def test_curl_connects_to_this_machine_under_the_accepted_name(settings: Any) -> None:
    found = lines(settings, ALLOWED_HOSTS=["chat.example.org"])
    assert found["try it"].startswith("curl -N http://127.0.0.1:8010/chat/stream ")
    assert "-H 'Host: chat.example.org'" in found["try it"]


def test_pages_are_at_the_public_address_if_there_is_one(settings: Any) -> None:
    public = {"PUBLIC_URL": "https://chat.example.org", "ROOT_PATH": "/agent"}
    found = lines(settings, ALLOWED_HOSTS=["chat.example.org", "127.0.0.1"], **public)
    assert found["API"] == "https://chat.example.org/agent/docs"
    assert found["chat"].endswith("--url http://127.0.0.1:8010")
    # Under a name that the service does not accept, it could not be reached.
    assert lines(settings, ALLOWED_HOSTS=DEFAULT, **public)["API"] == "http://127.0.0.1:8010/docs"


def test_without_keys_only_names_of_this_machine_are_printed(settings: Any) -> None:
    found = lines(settings, keyed=False, ALLOWED_HOSTS=["chat.example.org"])
    assert found["try it"].startswith(
        "curl -N http://127.0.0.1:8010/chat/stream -H 'Content-Type: application/json' -d"
    )


def test_commands_name_the_file_of_settings(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "my settings").touch()
    found = lines(settings, ENV_PATH=tmp_path / "my settings")
    assert shlex.split(found["chat"])[:4] == [PROGRAM, "--env-file", str(tmp_path / "my settings"), "chat"]
    assert lines(settings, ENV_PATH=FOLDER / ".env")["chat"].startswith(f"{PROGRAM} chat ")
