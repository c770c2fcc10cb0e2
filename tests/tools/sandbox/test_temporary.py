"""Temporary folders: removed with their command, and swept when their process is gone."""

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


async def test_folder_is_private_and_removed_afterwards(folders: TemporaryFolders) -> None:
    async with folders.new() as folder:
        assert folder.parent == folders.beneath
        assert folder.stat().st_mode & 0o777 == folders.beneath.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")

    assert not folder.exists()


async def test_sweep_removes_folders_of_a_killed_process_and_none_in_use(folders: TemporaryFolders) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        str(folders.beneath),
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


def test_sweep_ignores_other_files(folders: TemporaryFolders, tmp_path: Path) -> None:
    folders.beneath.mkdir()
    (folders.beneath / "other").mkdir()
    (folders.beneath / "command-file").touch()
    (folders.beneath / "command-link").symlink_to(tmp_path)

    assert folders.sweep() == 0
    assert len(list(folders.beneath.iterdir())) == 3


def test_stale_folder_is_swept_whatever_it_contains(folders: TemporaryFolders, tmp_path: Path) -> None:
    stale = folders.beneath / "command-stale"
    (stale / "deep" / "shut").mkdir(parents=True)
    (stale / "deep" / "link").symlink_to(tmp_path)
    (stale / "deep" / "shut").chmod(0)

    assert folders.sweep() == 1
    assert tmp_path.exists()
    assert list(folders.beneath.iterdir()) == []


async def test_result_does_not_wait_for_a_slow_removal(
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


async def test_folder_behind_a_link_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "command-left").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    folders = TemporaryFolders(tmp_path / "link")

    with pytest.raises(SandboxUnavailableError, match="cannot hold temporary folders"):
        await folders.new().__aenter__()
    assert folders.sweep() == 0
    assert (tmp_path / "command-left").exists()


async def test_folder_of_another_user_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "command-left").mkdir()
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    with pytest.raises(SandboxUnavailableError, match="belongs to another user"):
        await TemporaryFolders(tmp_path).new().__aenter__()
    assert TemporaryFolders(tmp_path).sweep() == 0
    assert (tmp_path / "command-left").exists()


def test_default_folder_is_separate_for_each_user() -> None:
    assert TemporaryFolders().beneath.name == f"orchestrator-commands-{os.geteuid()}"
