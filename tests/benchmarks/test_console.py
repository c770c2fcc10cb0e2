"""The benchmark of the console on a small database. Covers `benchmarks.console.rows` and `benchmarks.console.pages`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.managing import ROOT, environment, migrated


@pytest.mark.slow
def test_each_page_of_the_benchmark_opens_on_the_rows_that_it_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.console", "--sessions", "3", "--executions", "60", "--rounds", "1"]
    variables = environment(migrated(tmp_path))
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, check=False, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    pages = [json.loads(line)["page"] for line in done.stdout.splitlines() if line.startswith("{")]
    assert {"home", "usage", "a session", "an execution"} <= {*pages}
