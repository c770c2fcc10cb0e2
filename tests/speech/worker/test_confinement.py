"""Workers as their libraries find them: confined by the kernel.

Covers `kernel.worker`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kernel.landlock import OLDEST_ABI, landlock_abi

PROJECT = Path(__file__).parents[3]
ATTEMPTS = """
import json, os, socket, sys
from pathlib import Path
from kernel.worker import confine_worker

package = sys.argv[2]
confine_worker(Path(package).absolute())
found = {}
for name, attempt in {
    "settings": lambda: open(sys.argv[1]).read(),
    "workspace": lambda: os.listdir(os.path.dirname(sys.argv[1])),
    "project": lambda: open("pyproject.toml").read(),
    "others": lambda: os.listdir("/proc"),
    "environment": lambda: open(f"/proc/{os.getppid()}/environ").read(),
    "write": lambda: open("/tmp/made-by-a-worker", "w"),
    "network": lambda: socket.socket(socket.AF_INET),
    "local sockets": lambda: socket.socket(socket.AF_UNIX),
    "programs": lambda: os.execv("/bin/true", ["true"]),
    "import": lambda: __import__(f"{package}.worker.tasks"),
}.items():
    try:
        attempt()
        found[name] = True
    except OSError:
        found[name] = False
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
print(json.dumps([found, status["CapEff"].strip(), status["NoNewPrivs"].strip(), status["Seccomp"].strip()]))
"""


@pytest.mark.skipif(landlock_abi() < OLDEST_ABI, reason="this kernel has no Landlock")
@pytest.mark.parametrize("package", ["speech", "retrieval"])
def test_worker_reaches_only_its_own_code(tmp_path: Path, package: str) -> None:
    (tmp_path / "settings.env").write_text("KEY=secret")
    command = [sys.executable, "-c", ATTEMPTS, str(tmp_path / "settings.env"), package]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    reached, capabilities, no_new_privileges, filters = json.loads(done.stdout)
    assert [name for name, is_reached in reached.items() if is_reached] == ["import"]
    assert (int(capabilities, 16), no_new_privileges, filters) == (0, "1", "2")
