"""The import of GitPython, which starts no git and changes nothing in the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import json, os, sys
before, started = dict(os.environ), []
STARTING = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.spawn", "os.fork", "os.forkpty"}
sys.addaudithook(lambda event, values: started.append([event, values[0]]) if event in STARTING else None)
import tools.builtin.git
print(json.dumps({"started": started, "same": dict(os.environ) == before, "django": "django" in sys.modules}))
"""


def test_importing_the_tools_starts_no_program(tmp_path: Path) -> None:
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/fired\necho git version 2.50.0\n")
    fake.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GIT_PYTHON_REFRESH": "raise"}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    report = json.loads(ended.stdout)

    assert not (tmp_path / "fired").exists()
    assert report == {"started": [["subprocess.Popen", os.devnull]], "same": True, "django": False}
    assert ended.stderr == ""


def test_importing_the_tools_needs_no_git(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import tools.builtin.git"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
