"""A real service process under faults. The long form of each: `FAULTS=long uv run pytest -q tests/faults`."""

import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.upstream import Upstream, upstream
from tests.orchestrator_site.test_serve import address, serving

LONG = os.environ.get("FAULTS") == "long"
DEADLINE = 60

Begin = Callable[..., "Server"]


class Server:
    """A service process: its address, and the kernel's figures of it."""

    def __init__(self, url: str, process: Any, folder: Path) -> None:
        self.url = url
        self.process = process
        self.folder = folder

    @property
    def files(self) -> int:
        """Return the number of open file descriptors."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def limit(self, name: int, soft: int) -> None:
        """Set a resource limit of the running process."""
        _, hard = resource.prlimit(self.process.pid, name)
        resource.prlimit(self.process.pid, name, (soft, hard))

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.folder / 'orchestrator.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()


@pytest.fixture
async def models() -> AsyncIterator[Upstream]:
    async with upstream() as service:
        yield service


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=DEADLINE)) as session:
        yield session


@pytest.fixture
def begin(models: Upstream, tmp_path: Path) -> Iterator[Begin]:
    """Start a service process on the same database as those before it."""
    with ExitStack() as processes:

        def start(*arguments: str, folder: Path = tmp_path, **variables: str) -> Server:
            given = {"OPENAI_BASE_URL": models.url, "OPENAI_API_KEY": "x", "LOG_LEVEL": "error", **variables}
            output, process = processes.enter_context(serving(folder, *arguments, **given))
            return Server(address(output), process, folder)

        yield start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a filesystem of 6 MB, which needs privileges."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=False)
    if not made or made.returncode:
        pytest.skip("no filesystem can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
