"""Temporary folders: gone with their command, swept when a process left them, and kept while another one lives."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tools.sandbox import temporary
from tools.sandbox.refusals import SandboxUnavailableError
from tools.sandbox.temporary import TemporaryFolders

ROOT = Path(__file__).resolve().parents[3]
HOLDER = (
    "import asyncio, sys\nfrom pathlib import Path\nfrom tools.sandbox.temporary import TemporaryFolders\n"
    "async def hold():\n    async with TemporaryFolders(Path(sys.argv[1])).new() as folder:\n"
    "        (folder / 'file').write_text('x')\n        print(folder, flush=True)\n        sys.stdin.read()\n"
    "asyncio.run(hold())\n"
)


@pytest.fixture
def folders(tmp_path: Path) -> TemporaryFolders:
    return TemporaryFolders(tmp_path / "commands")


async def test_folder_is_the_owners_alone_and_gone_afterwards(folders: TemporaryFolders) -> None:
    async with folders.new() as folder:
        assert folder.parent == folders.beneath
        assert folder.stat().st_mode & 0o777 == folders.beneath.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")

    assert not folder.exists()


async def test_sweep_removes_what_a_killed_process_left_and_nothing_in_use(folders: TemporaryFolders) -> None:
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(folders.beneath)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout
    left = Path((await asyncio.wait_for(holder.stdout.readline(), 5)).decode().strip())
    async with folders.new() as own:
        assert folders.sweep() == 0
        holder.kill()
        await holder.wait()
        assert (left / "file").exists()

        assert folders.sweep() == 1
        assert list(folders.beneath.iterdir()) == [own]


def test_sweep_leaves_what_is_not_its_own(folders: TemporaryFolders, tmp_path: Path) -> None:
    folders.beneath.mkdir()
    (folders.beneath / "other").mkdir()
    (folders.beneath / "command-file").touch()
    (folders.beneath / "command-link").symlink_to(tmp_path)

    assert folders.sweep() == 0
    assert len(list(folders.beneath.iterdir())) == 3


def test_stale_folder_is_swept_whatever_is_in_it(folders: TemporaryFolders, tmp_path: Path) -> None:
    stale = folders.beneath / "command-stale"
    (stale / "deep" / "shut").mkdir(parents=True)
    (stale / "deep" / "link").symlink_to(tmp_path)
    (stale / "deep" / "shut").chmod(0)

    assert folders.sweep() == 1
    assert tmp_path.exists()
    assert list(folders.beneath.iterdir()) == []


async def test_answer_does_not_wait_for_a_folder_that_takes_long(
    folders: TemporaryFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary, "REMOVE_SECONDS", 0)
    async with folders.new() as folder:
        for number in range(2_000):
            (folder / str(number)).touch()

    assert folder.exists()
    assert folders.sweep() == 0
    async with asyncio.timeout(5):
        while folder.exists():
            await asyncio.sleep(0.005)


async def test_folder_by_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "command-left").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    folders = TemporaryFolders(tmp_path / "link")

    with pytest.raises(SandboxUnavailableError, match="cannot hold temporary folders"):
        await folders.new().__aenter__()
    assert folders.sweep() == 0
    assert (tmp_path / "command-left").exists()


async def test_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "command-left").mkdir()
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    with pytest.raises(SandboxUnavailableError, match="somebody else's"):
        await TemporaryFolders(tmp_path).new().__aenter__()
    assert TemporaryFolders(tmp_path).sweep() == 0
    assert (tmp_path / "command-left").exists()


def test_place_of_its_own_is_one_for_each_user() -> None:
    assert TemporaryFolders().beneath.name == f"orchestrator-commands-{os.geteuid()}"
