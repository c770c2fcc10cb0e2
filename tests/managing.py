"""Commands of `manage.py`, as real processes."""

import subprocess
import sys
from pathlib import Path

from tests.orchestrator_site.test_serve import ROOT, environment

SECONDS = 120


def manage(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with the settings of a folder and return its result; fail the test on a traceback."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def managed(folder: Path, *arguments: str, **variables: str) -> str:
    """Return the output of a command that must succeed."""
    done = manage(folder, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout
