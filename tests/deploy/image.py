"""The container image without a container engine: a Debian root, the build script's steps, and a process in it."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
SCRIPT: Final = "docs/deploy/build-image.sh"
APP_DIR: Final = "srv/orchestrator"
DATA_DIR: Final = "var/lib/orchestrator"
BUILD_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"

# A root that is made on a machine behind a proxy or a registry of its own needs that machine's name resolution,
# certificates and package index. None of it is in the image that the Dockerfile builds.
HOST_FILES: Final = ("/etc/hosts", "/etc/resolv.conf", "/etc/pip.conf", "/etc/uv/uv.toml")
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
HOST_VARIABLES: Final = re.compile(r"(?i)^(https?_proxy|no_proxy|(pip|uv)_.*index.*)$")


def instruction(name: str) -> str:
    """Return the arguments of the last instruction of this name in the Dockerfile."""
    lines = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name}\s+(.*)$", lines, re.MULTILINE)[-1].strip()


def exec_form(name: str) -> list[str]:
    """Return the words of an instruction in exec form, such as `CMD ["python", "manage.py"]`."""
    return [str(word) for word in re.findall(r'"([^"]*)"', instruction(name)[instruction(name).index("[") :])]


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile's ENV sets."""
    return dict(word.split("=", 1) for word in shlex.split(instruction("ENV")))


class Image:
    """A root file system made by the steps of the Dockerfile."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def debootstrap(self) -> None:
        """Unpack what `debian:*-slim` has, in the release that the Dockerfile names."""
        release = re.findall(r"^ARG DEBIAN=(\w+)$", DOCKERFILE, re.MULTILINE)[0]
        mirror = os.environ.get("DEBOOTSTRAP_MIRROR", "http://deb.debian.org/debian")
        _run("debootstrap", "--variant=minbase", release, str(self.root), mirror)
        for path in map(Path, HOST_FILES):
            if path.exists():
                target = self.root / path.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())

    def build(self) -> None:
        """Run the steps in the Dockerfile's order, with what its COPY instructions bring."""
        self._copy(SCRIPT)
        self._step("system")
        self._step("uv")
        self._copy("pyproject.toml", "uv.lock", *(path for path in context() if path.startswith("clients/python/")))
        self._step("dependencies")
        self._copy(*context())
        self._step("application")
        shutil.rmtree(self.root / "opt" / "uv")  # the last stage copies the application only

    def command(self, *arguments: str, **variables: str) -> list[str]:
        """Return a command line that runs a process as the container would.

        It has the image's user without capabilities or new privileges, and a process namespace of its own. The root is
        read-only, except for an empty `/tmp` and the data folder. The network is this machine's.
        """
        root, user = str(self.root), instruction("USER").partition(":")
        setup = (
            'mount --bind "$0" "$0" && mount --bind "$0/$1" "$0/$1" && mount -o remount,ro,bind "$0" '
            '&& mount -t tmpfs -o noexec,nosuid,nodev tmpfs "$0/tmp" && mount -t proc proc "$0/proc" '
            '&& shift && exec chroot "$0" "$@"'
        )
        privileges = [
            "setpriv",
            f"--reuid={user[0]}",
            f"--regid={user[2]}",
            "--clear-groups",
            "--no-new-privs",
            # The first process ends with `unshare`, and the others of its namespace with it.
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--pdeathsig=KILL",
        ]
        environment = [f"{name}={value}" for name, value in (image_environment() | variables).items()]
        inside = ["env", "-i", f"--chdir={instruction('WORKDIR')}", *environment, *arguments]
        unshared = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private"]
        return [*unshared, "sh", "-c", setup, root, DATA_DIR, *privileges, *inside]

    def _copy(self, *paths: str) -> None:
        for path in paths:
            target = self.root / APP_DIR / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, target)

    def _step(self, name: str) -> None:
        variables = [f"{key}={value}" for key, value in os.environ.items() if HOST_VARIABLES.match(key)]
        if CERTIFICATES.exists():
            (self.root / "tmp" / "certificates.crt").write_bytes(CERTIFICATES.read_bytes())
            variables += ["SSL_CERT_FILE=/tmp/certificates.crt", "PIP_CERT=/tmp/certificates.crt"]
        with _proc(self.root):
            _run("chroot", str(self.root), "env", "-i", f"PATH={BUILD_PATH}", *variables, f"/{APP_DIR}/{SCRIPT}", name)


def context() -> list[str]:
    """Return the tracked files that `.dockerignore` leaves in the build's context, and the script."""
    ignored = [line.rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines()]
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [path for path in tracked.split("\0") if path and path.partition("/")[0] not in ignored]
    return [*paths, SCRIPT]


@contextmanager
def _proc(root: Path) -> Iterator[None]:
    _run("mount", "-t", "proc", "proc", str(root / "proc"))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(root / "proc"))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-2_000:]}\n{done.stderr[-4_000:]}"
