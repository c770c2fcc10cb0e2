"""The modules of the playground outside of a browser, with the test runner of node: parsing, texts and Markdown."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "javascript"
MODULES = Path("playground/static/playground")


def test_modules_pass_their_own_tests(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node: apt-get install nodejs")
    shutil.copytree(MODULES, tmp_path / "playground")
    shutil.copytree(TESTS, tmp_path / "tests")
    # Without it, node takes the files for CommonJS. Browsers need no such file.
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    files = sorted(map(str, (tmp_path / "tests").glob("*.test.js")))
    command = [node, "--test", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
