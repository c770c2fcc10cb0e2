"""The container image's build steps, run in an empty Debian root, and the service that starts in it.

The long form builds the image and takes minutes: `IMAGE=build .venv/bin/pytest -q tests/deploy/test_image.py`.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.image import (
    DATA_DIR,
    DOCKERFILE,
    ROOT,
    SCRIPT,
    Image,
    context,
    exec_form,
    image_environment,
    instruction,
)
from tests.servers import free_port, wait_until

START_SECONDS: Final = 60
KEY: Final = "a-key-of-the-test-0123456789"
NEEDED: Final = ("debootstrap", "unshare", "chroot", "setpriv")


def why_not() -> str:
    """Return the reason why no image can be built here, or nothing."""
    if os.environ.get("IMAGE") != "build":
        return "building the image takes minutes and needs a package mirror: set IMAGE=build"
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "debootstrap and chroot need root"
    trial = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False, capture_output=True)
    return "no namespace can be made here" if trial.returncode else ""


REASON: Final = why_not()
builds = pytest.mark.skipif(bool(REASON), reason=REASON)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    root = tmp_path_factory.mktemp("image") / "root"
    root.mkdir(mode=0o755)
    made = Image(root)
    made.debootstrap()
    made.build()
    yield made
    shutil.rmtree(root)


class Container:
    """The service in the image. `pid` is the process that `docker stop` would signal."""

    def __init__(self, image: Image, port: int) -> None:
        command = [str(port) if word == "8010" else word for word in [*exec_form("ENTRYPOINT"), *exec_form("CMD")]]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            image.command(*command, API_KEY=KEY, LOG_FORMAT="text", DRAIN_SECONDS="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def pid(self) -> int:
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def kill(self) -> None:
        """End every process of the container."""
        self.process.kill()
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=5) as response:  # noqa: S310 - our own server
            return json.load(response)

    def post(self, path: str, body: dict[str, Any]) -> str:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - our own server
            return str(response.read().decode())

    def answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[0]
        try:
            return bool(self.get("/healthz"))
        except OSError:  # refused, or reset while it starts
            return False


@pytest.fixture(scope="module")
def container(image: Image) -> Iterator[Container]:
    running = Container(image, free_port())
    try:
        wait_until(running.answers, START_SECONDS)
        yield running
    finally:
        running.kill()


def test_dockerfile_calls_every_step_of_the_script_in_order() -> None:
    steps = re.findall(r"^([a-z]+)\)$", (ROOT / SCRIPT).read_text(), re.MULTILINE)
    assert re.findall(r"^RUN build-image\.sh (\w+)$", DOCKERFILE, re.MULTILINE) == steps


def test_dockerfile_runs_as_a_user_that_is_not_root() -> None:
    user, _, group = instruction("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert f"USER_ID={user}" in (ROOT / SCRIPT).read_text()


def test_every_variable_of_the_image_is_a_setting_or_of_the_interpreter() -> None:
    known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(image_environment()) - known == {
        "PATH",
        "HOME",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
        "ENV_FILE",
    }


def test_the_context_has_the_service_and_nothing_else() -> None:
    folders = {path.partition("/")[0] for path in context() if "/" in path}
    assert {"access", "chat", "orchestrator_site", "tools"} <= folders
    assert not folders & {"tests", "benchmarks", ".github", ".ci"}
    assert not [path for path in context() if Path(path).name == ".env"]


@builds
def test_service_in_the_image_is_healthy_and_confines_its_tools(container: Container) -> None:
    health = container.get("/healthz")
    assert health["status"] == "ok"
    assert "landlock" in json.dumps(health["confinement"])
    assert "terminal.exec" in health["allowed_tools"]


@builds
def test_service_in_the_image_runs_as_its_own_user_without_capabilities(container: Container) -> None:
    status = Path(f"/proc/{container.pid}/status").read_text()
    user, _, group = instruction("USER").partition(":")
    assert f"Uid:\t{user}\t{user}\t{user}\t{user}\n" in status
    assert f"Gid:\t{group}\t{group}\t{group}\t{group}\n" in status
    assert "NoNewPrivs:\t1\n" in status
    assert set(re.findall(r"^Cap\w+:\t(\w+)$", status, re.MULTILINE)) == {"0" * 16}


@builds
def test_sandboxed_command_runs_under_the_read_only_root(container: Container) -> None:
    body = {"tool_calls": [{"name": "terminal.exec", "params": {"command": "echo in the image"}}]}
    assert "in the image" in container.post("/chat/stream", body)


@builds
def test_local_model_answers_in_the_image(container: Container) -> None:
    answer = container.post("/chat/stream", {"message": "Say one word."})
    assert '"reason":"completed"' in answer
    assert '"type":"token"' in answer


@builds
def test_root_is_read_only_and_data_is_kept(image: Image, container: Container) -> None:
    done = subprocess.run(image.command("touch", "/srv/orchestrator/x"), capture_output=True, text=True, check=False)
    assert "Read-only file system" in done.stderr
    assert {"orchestrator.db", "secret_key", "workspaces"} <= {path.name for path in (image.root / DATA_DIR).iterdir()}
    assert container.answers()


@builds
def test_health_check_of_the_dockerfile_reports_the_state(image: Image, container: Container) -> None:
    port = container.url.rpartition(":")[2]
    healthy = [word.replace("8010", port) for word in exec_form("HEALTHCHECK")]
    absent = [word.replace("8010", str(free_port())) for word in exec_form("HEALTHCHECK")]
    assert subprocess.run(image.command(*healthy), check=False, capture_output=True).returncode == 0
    assert subprocess.run(image.command(*absent), check=False, capture_output=True).returncode != 0


@builds
def test_sigterm_stops_the_container_with_status_0(image: Image) -> None:
    running = Container(image, free_port())
    try:
        wait_until(running.answers, START_SECONDS)
        began = time.monotonic()
        os.kill(running.pid, signal.SIGTERM)
        output, _ = running.process.communicate(timeout=30)
        assert running.process.returncode == 0, output
        assert time.monotonic() - began < 15
    finally:
        running.kill()


@builds
def test_image_does_not_listen_for_others_without_a_key(image: Image) -> None:
    done = subprocess.run(image.command(*exec_form("CMD")), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "API_KEY" in done.stderr
