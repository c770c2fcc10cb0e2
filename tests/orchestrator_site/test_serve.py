"""`manage.py serve` and its neighbours, as real processes.

Covers `orchestrator_site.management.commands.serve`, `orchestrator_site.secret_key`.
"""

import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from orchestrator_site.management.commands.serve import listen

ROOT = Path(__file__).parents[2]


def environment(folder: Path, **variables: str) -> dict[str, str]:
    base = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}}
    own = {
        "ENV_FILE": os.devnull,
        "DATABASE_URL": str(folder / "orchestrator.db"),
        "ALLOW_FS_BASE": str(folder / "workspaces"),
        "SECRET_KEY_PATH": str(folder / "secret_key"),
        "TOOL_OUTPUT_DIR": str(folder / "tool_outputs"),
        "LOG_FORMAT": "text",
        "LOCAL_MODEL_THREADS": "1",
    }
    return base | own | variables


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start a service; yield its address once it is ready, and its process."""
    process = subprocess.Popen(
        # A test that runs under nohup would otherwise start services that do not reload.
        ["env", "--default-signal=HUP", sys.executable, "manage.py", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env=environment(folder, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Away from the terminal, whose end would be what SIGHUP means.
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        output = ""
        while "createsuperuser" not in output:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            output += line
        yield output, process
    finally:
        process.kill()
        process.communicate()


def address(output: str) -> str:
    found = re.search(r"http://[^ \n]+", output)
    assert found
    return found[0]


def refusal(folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *(arguments or ("serve", "--port", "0"))],
        cwd=ROOT,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_printed_curl_line_gets_an_answer_and_sigterm_exits_with_0(tmp_path: Path) -> None:
    with serving(tmp_path) as (output, process):
        curl = re.search(r"curl .*", output)
        assert curl
        done = subprocess.run(["bash", "-c", curl[0]], capture_output=True, text=True, timeout=60, check=True)
        assert "Paris" in done.stdout
        assert '"type":"end","reason":"completed"' in done.stdout
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=15)
        assert process.returncode == 0
        assert "Traceback" not in errors
    assert (tmp_path / "workspaces").is_dir()
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_admin_with_its_styles_and_the_docs_are_served(tmp_path: Path) -> None:
    with serving(tmp_path) as (output, _):
        for path, kind in [
            ("/admin/login/", "text/html"),
            ("/static/admin/css/base.css", "text/css"),
            ("/docs", "text/html"),
            ("/", "text/html"),
            ("/openapi.json", "application/json"),
        ]:
            with urllib.request.urlopen(address(output) + path, timeout=10) as response:  # noqa: S310 - our own server
                assert response.headers["Content-Type"].startswith(kind)


def test_with_a_key_the_api_requires_it_and_healthz_does_not(tmp_path: Path) -> None:
    with serving(tmp_path, API_KEY="secret") as (output, _):
        base = address(output)
        assert "Authorization: Bearer $API_KEY" in output
        with urllib.request.urlopen(f"{base}/healthz", timeout=10) as response:  # noqa: S310 - our own server
            assert json.load(response)["status"] == "ok"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{base}/tools", timeout=10)  # noqa: S310 - our own server
        assert caught.value.code == 401
        caught.value.close()
        request = urllib.request.Request(f"{base}/tools", headers={"Authorization": "Bearer secret"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own server
            assert json.load(response)["count"] > 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL='loud' is not valid: choose one of debug, info, warning, error."),
        ({"RUN_MAX_STEPS": "0"}, "RUN_MAX_STEPS='0' is not valid: it must be a whole number from 1"),
        ({"FS_MAX_READ_BYTES": "3"}, "FS_MAX_READ_BYTES='3' is not valid: it must be a whole number from 1024"),
        ({"ENABLE_PERSISTENCE": "maybe"}, "ENABLE_PERSISTENCE='maybe' is not valid: choose true or false."),
        ({"OPENAI_BASE_URL": "nowhere"}, "OPENAI_BASE_URL='nowhere' is not valid"),
        ({"RATE_LIMIT": "lots"}, "RATE_LIMIT='lots' is not valid: A rate is a number of requests and a time"),
        ({"RATE_LIMIT_PER_KEY": "0/minute"}, "RATE_LIMIT_PER_KEY='0/minute' is not valid"),
        ({"TRUSTED_PROXIES": "nowhere"}, "TRUSTED_PROXIES='nowhere' is not valid: name addresses or networks"),
        ({"DATABASE_URL": "mysql://h/d"}, "DATABASE_URL="),
        ({"DEFAULT_PROVIDER": "nobody"}, "DEFAULT_PROVIDER='nobody' is not valid: choose one of"),
        ({"PROVIDERS_FILE": "/nowhere.toml"}, "PROVIDERS_FILE: /nowhere.toml cannot be read"),
        ({"MCP_SERVERS_FILE": "/nowhere.toml"}, "MCP_SERVERS_FILE: /nowhere.toml cannot be read"),
    ],
)
def test_invalid_setting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in environment(tmp_path, **variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=re.escape(said)):
        runpy.run_path(str(ROOT / "orchestrator_site" / "settings.py"))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LOG_LEVEL": "loud"}, "Error: LOG_LEVEL='loud' is not valid: choose one of debug, info, warning, error."),
        ({"LOCAL_MODEL_PATH": "/nowhere.gguf", "PROVIDER_FALLBACK": "nobody"}, "LOCAL_MODEL_PATH"),
        ({"DATABASE_URL": "/proc/nowhere/o.db"}, "DATABASE_URL"),
        ({"ALLOW_FS_BASE": "/proc/nowhere"}, "ALLOW_FS_BASE"),
    ],
)
def test_invalid_setting_stops_the_start_and_is_named(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    assert said in refusal(tmp_path, **variables)


def test_unreadable_database_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.db").write_bytes(b"not a database" * 100)
    assert "DATABASE_URL" in refusal(tmp_path)


def test_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"Cannot listen on 127.0.0.1 port {port}" in refusal(tmp_path, "serve", "--port", port)


@pytest.mark.parametrize("port", ["70000", "65536", "-1", "9" * 5_000, "eighty", "8010.5"])
def test_port_that_does_not_exist_is_refused(port: str) -> None:
    with pytest.raises(CommandError, match="is not a number from 0 to 65535"):
        call_command("serve", f"--port={port}")


@pytest.mark.parametrize(
    ("host", "peers"), [("::", ["127.0.0.1", "::1"]), ("::1", ["::1"]), ("0.0.0.0", ["127.0.0.1"])]
)
def test_all_addresses_of_ipv6_are_those_of_ipv4_too(host: str, peers: list[str]) -> None:
    with listen(host, 0) as listening:
        for peer in peers:
            socket.create_connection((peer, listening.getsockname()[1]), timeout=5).close()
        for other in {"127.0.0.1", "::1"} - set(peers):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((other, listening.getsockname()[1]), timeout=5)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_a_key_only_loopback_is_bound(tmp_path: Path, host: str) -> None:
    assert "Set API_KEY" in refusal(tmp_path, "serve", "--host", host)


def test_uvicorn_reports_an_invalid_setting_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "orchestrator_site.asgi:application", "--port", "0"],
        cwd=ROOT,
        env=environment(tmp_path, LOG_LEVEL="loud"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "Error: LOG_LEVEL='loud' is not valid" in done.stderr
    assert "Traceback" not in done.stderr


def test_runserver_creates_a_missing_database(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "orchestrator_site.asgi:application", "--port", base.rpartition(":")[2]],
        cwd=ROOT,
        env=environment(tmp_path),
    )
    try:
        wait_for(base, process)
        body = json.dumps({"tool_calls": [{"name": "fs.list"}]}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{base}/chat/stream", body, headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own server
            assert b'"reason":"completed"' in response.read()
    finally:
        process.terminate()
        process.wait(15)


def wait_for(base: str, process: "subprocess.Popen[bytes]") -> None:
    """Return when the service answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(urllib.error.URLError), urllib.request.urlopen(f"{base}/healthz", timeout=5):  # noqa: S310 - ours
            return
        time.sleep(0.05)
    raise AssertionError("the service did not start")
