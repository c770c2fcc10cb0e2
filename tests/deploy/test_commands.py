"""The commands of `docs/deploy/README.md`, run where the programs are, and nginx in front of a real service."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Final

import aiohttp
import pytest

from tests.deploy.image import ROOT
from tests.orchestrator_site.test_serve import address, serving
from tests.servers import free_port, wait_until
from web.schemas import ErrorOut

DEPLOY: Final = ROOT / "docs" / "deploy"
PAGE: Final = (DEPLOY / "README.md").read_text()
BLOCKS: Final = dict(re.findall(r"<!-- run: (\S+) -->\n```sh\n(.*?)```\n", PAGE, re.DOTALL))
UNRUN: Final = re.findall(r"<!-- needs: (\S+) -->\n```sh\n", PAGE)
KEY: Final = "a-key-of-the-test-0123456789"

needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


def run(name: str, folder: Path) -> str:
    """Run a block of the page in a folder, and return what it prints. The block must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", BLOCKS[name]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def nginx_for(upstream: str, folder: Path) -> Iterator[str]:
    """Run nginx with the page's configuration in front of a service, and yield its address."""
    port = free_port()
    secrets(folder)
    configuration(folder, upstream, port)
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"], stderr=subprocess.PIPE)
    try:
        wait_until((folder / "nginx.pid").exists)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def secrets(folder: Path) -> None:
    """Make the secrets as the page says."""
    (folder / "docs").symlink_to(ROOT / "docs")
    run("secrets", folder)


def configuration(folder: Path, upstream: str, port: int) -> None:
    """Write nginx.conf with the ports and paths of the test, and nothing else changed."""
    text = (DEPLOY / "nginx.conf").read_text()
    for container, here in {
        "orchestrator:8010": upstream.removeprefix("http://"),
        "8443": str(port),
        "/tmp/": f"{folder}/",  # before the paths that may lie beneath it
        "/run/secrets": str(folder / "secrets"),
        "/dev/stdout": str(folder / "access.log"),
        "/dev/stderr": str(folder / "error.log"),
    }.items():
        assert container in text
        text = text.replace(container, here)
    (folder / "nginx.conf").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # nginx's workers have another user when root starts it.
    if os.geteuid() == 0:
        temporary = Path(gettempdir())
        for place in (tmp_path, *tmp_path.parents):
            if temporary in place.parents:
                place.chmod(0o755)
    return tmp_path


def test_every_block_is_run_or_names_what_it_needs() -> None:
    assert PAGE.count("\n```sh\n") == len(BLOCKS) + len(UNRUN)
    assert set(BLOCKS) == {"image", "secrets", "nginx", "systemd"}
    assert set(UNRUN) == {"docker", "kubernetes"}


def test_image_command_is_the_long_form_of_its_test() -> None:
    assert BLOCKS["image"].strip() in (ROOT / "tests" / "deploy" / "test_image.py").read_text()


def test_every_file_that_the_page_names_exists() -> None:
    names = re.findall(r"^\| `[^|]*` \|", PAGE, re.MULTILINE)
    files = [name for row in names for name in re.findall(r"`([^`]+)`", row)]
    assert len(files) == 12
    assert [name for name in files if not (DEPLOY / name).exists()] == []
    assert [name for name in re.findall(r"-f (\S+\.yaml)", PAGE) if not (ROOT / name).exists()] == []


@needs_openssl
def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    secrets(tmp_path)
    made = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {"api_key", "secret_key", "tls.crt", "tls.key"}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert re.search(r"^POSTGRES_PASSWORD=[0-9a-f]{48}$", (tmp_path / ".env").read_text(), re.MULTILINE)
    run("secrets", tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == made


@needs_nginx
@needs_openssl
def test_nginx_accepts_the_configuration(folder: Path) -> None:
    secrets(folder)
    configuration(folder, "http://127.0.0.1:1", free_port())
    assert "test is successful" in run("nginx", folder)


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-site.conf"])
def test_errors_of_nginx_have_the_shape_of_those_of_the_service(name: str) -> None:
    text = (DEPLOY / name).read_text()
    # Without `=`, nginx would keep the status 502 or 504.
    assert re.search(r"error_page [\d ]+ = @away;", text)
    bodies = re.findall(r"return (\d+) '(.*)';", text)
    assert {status for status, _ in bodies} == {"413", "503"}
    for _, body in bodies:
        error = ErrorOut(**json.loads(body))
        assert error.error == error.message
        assert set(json.loads(body)) == set(ErrorOut.model_fields)


@needs_nginx
@needs_openssl
async def test_errors_of_nginx_are_json(folder: Path) -> None:
    trust = ssl.create_default_context()
    with nginx_for("http://127.0.0.1:1", folder) as url:
        trust.load_verify_locations(folder / "secrets" / "tls.crt")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            async with session.get(f"{url}/tools") as away:
                assert (away.status, away.content_type, away.headers["Retry-After"]) == (503, "application/json", "2")
                assert (await away.json())["code"] == "unavailable"
            async with session.post(f"{url}/keys", data=b"a" * 70_000) as large:
                assert (large.status, large.content_type) == (413, "application/json")
                assert (await large.json())["code"] == "body_too_large"
            for path in ("v1/responses", "ai/chat", "ag-ui", "mcp", "workspace/files/a", "admin/chat/session/import/"):
                async with session.post(f"{url}/{path}", data=b"a" * 70_000) as passed:
                    assert passed.status == 503, path


@needs_nginx
@needs_openssl
async def test_nginx_passes_streams_on_as_they_come_and_upgrades_sockets(folder: Path) -> None:
    trust = ssl.create_default_context()
    given = {"API_KEY": KEY, "TRUSTED_PROXIES": "127.0.0.1", "DEFAULT_PROVIDER": "local", "ALLOWED_HOSTS": "localhost"}
    headers = {"Authorization": f"Bearer {KEY}"}
    with serving(folder, **given) as (output, _), nginx_for(address(output), folder) as url:
        trust.load_verify_locations(folder / "secrets" / "tls.crt")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), headers=headers) as session:
            async with session.post(f"{url}/chat/stream", json={"message": "Count to five."}) as response:
                assert response.status == 200
                pieces = [piece async for piece in response.content.iter_any()]
            assert len(pieces) > 3
            assert b'"reason":"completed"' in b"".join(pieces)
            async with session.ws_connect(f"{url}/ws/chat") as socket:
                await socket.send_json({"type": "auth", "key": KEY})
                assert json.loads((await socket.receive()).data)["type"] != "error"
            async with session.post(f"{url}/keys", data=b"x" * 70_000) as response:
                assert response.status == 413


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_unit_and_finds_little_exposure(tmp_path: Path) -> None:
    unit = (DEPLOY / "orchestrator.service").read_text()
    here = unit.replace("/srv/orchestrator/.venv/bin/python", sys.executable).replace("/srv/orchestrator", str(ROOT))
    # `verify` asks whether the user exists; nothing is started.
    here = here.replace("User=orchestrator", "User=root").replace("Group=orchestrator", "Group=root")
    (tmp_path / "orchestrator.service").write_text(here)
    said = run("systemd", tmp_path)
    assert "Unknown" not in said
    assert "WARNING" not in said


def test_just_runs_what_the_gate_runs() -> None:
    gate = re.findall(r"(uv run (?:ruff|lint-imports|mypy).*)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    text = (ROOT / "justfile").read_text()
    assert len(gate) == 4
    assert [command for command in gate if command not in text] == []
