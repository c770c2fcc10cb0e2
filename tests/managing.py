"""Commands of `manage.py`, as real processes."""

import subprocess
import sys
from pathlib import Path

from tests.orchestrator_site.test_serve import ROOT, environment

SECONDS = 120


def manage(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What became of a command that was run with the settings of a folder; a traceback is a failure of the test."""
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
    """What a command printed, which must have gone well."""
    done = manage(folder, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout
