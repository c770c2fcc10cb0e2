"""A sandbox of this machine's kernel, a workspace to run commands in, and files outside as bait."""

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.sandbox.policy import Limits
from tools.sandbox.programs import Programs, installed_programs
from tools.sandbox.sandbox import Outcome, Sandbox

SECRET = "the-canary-of-the-house"
QUICK = Limits(wall_seconds=5, cpu_seconds=3, memory_bytes=256 << 20, file_bytes=1 << 20, open_files=64, tasks=24)

RunPython = Callable[..., Awaitable[Outcome]]


@pytest.fixture(scope="session", autouse=True)
def confined(kernel: None) -> None:
    """Run each test in the sandbox of the kernel."""


@pytest.fixture
def programs() -> Programs:
    return installed_programs()


@pytest.fixture
def sandbox(programs: Programs, tmp_path: Path) -> Sandbox:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return Sandbox(programs, temporary_beneath=temporary)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return an empty folder."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(base: Path) -> Path:
    (base / "notes.txt").write_text("inside")
    return base


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "orchestrator.db").write_text(SECRET)
    (folder / ".env").write_text(SECRET)
    return folder


@pytest.fixture
def handle(base: Path) -> Iterator[int]:
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    yield handle
    os.close(handle)


@pytest.fixture
def run_python(sandbox: Sandbox, workspace: Path, handle: int) -> RunPython:
    """Run Python code in the sandbox, with the workspace readable, or writable if `writable=True`."""

    async def run(code: str, *, writable: bool = False, limits: Limits = QUICK, **more: Any) -> Outcome:
        handles = {"writable_handles" if writable else "readable_handles": (handle,)}
        return await sandbox.run(
            ("python", "-I", "-S", "-c", code), cwd_handle=handle, limits=limits, **handles, **more
        )

    return run
