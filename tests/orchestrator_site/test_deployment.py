"""Django's deployment checks, with the settings of `docs/operations.md`."""

from pathlib import Path
from secrets import token_urlsafe

import pytest

from orchestrator_site.serving.server import Server
from tests.managing import manage
from tests.orchestrator_site.test_operations import BLOCKS, DEPLOY

pytestmark = pytest.mark.slow


def settings_of_the_page(folder: Path) -> dict[str, str]:
    """Return the settings of the page's first block, with the folders and database of this machine and a key."""
    pairs = (line.partition("=") for line in BLOCKS["settings"].splitlines() if line[:1].isupper())
    found = {name: value for name, _, value in pairs if not value.startswith(("/var/lib/", "postgres://"))}
    return found | {"API_KEY": token_urlsafe(32), "SECRET_KEY_PATH": str(folder / "secret_key")}


def test_deployment_checks_find_no_issues(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", **settings_of_the_page(tmp_path))
    assert done.returncode == 0, done.stderr
    # OpenAI has announced the end of every model of its speech to text and text to speech, of some earlier than others.
    assert [line for line in done.stderr.splitlines() if line.startswith("?:") and "speech.W001" not in line] == []


def test_public_url_must_be_an_origin(tmp_path: Path) -> None:
    for wrong in ("chat.example.org", "https://chat.example.org/path", "ftp://chat.example.org", "https://"):
        done = manage(tmp_path, "check", PUBLIC_URL=wrong)
        assert done.returncode != 0
        assert f"PUBLIC_URL={wrong!r} is not valid: it must be an origin" in done.stderr


def test_nginx_closes_idle_connections_before_the_server_does() -> None:
    proxys_own = (
        60  # In seconds. Source: https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout
    )
    assert "keepalive_timeout" not in (DEPLOY / "nginx-site.conf").read_text()
    assert Server(lambda: None).config.timeout_keep_alive > proxys_own
