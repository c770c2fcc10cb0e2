"""The sample workspace: it is only put into a new or empty folder, and its own test passes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator_site.sample import SAMPLE, place_sample

FILES = ["README.md", "notes.txt", "test_words.py", "words.py"]


@pytest.mark.parametrize("made", [True, False])
def test_new_or_empty_workspace_gets_the_sample_once(tmp_path: Path, settings: Any, made: bool) -> None:
    base = tmp_path / "deep" / "workspace"
    settings.ALLOW_FS_BASE = base
    if made:
        base.mkdir(parents=True)
    place_sample()
    assert sorted(path.name for path in base.iterdir()) == FILES
    (base / "notes.txt").unlink()
    place_sample()
    assert not (base / "notes.txt").exists()


def test_folder_with_anything_in_it_is_left_as_it_is(tmp_path: Path, settings: Any) -> None:
    settings.ALLOW_FS_BASE = tmp_path
    (tmp_path / ".hidden").touch()
    place_sample()
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]


def test_folder_that_cannot_be_made_is_for_the_start_to_report(settings: Any) -> None:
    settings.ALLOW_FS_BASE = Path("/proc/nowhere")
    place_sample()


def test_test_of_the_sample_passes() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-m", "unittest"], cwd=SAMPLE, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Ran 2 tests" in done.stderr) == (0, True), done.stderr
