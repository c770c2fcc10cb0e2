"""Every command of `docs/howto`, run against a service; and every link of the documentation."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator_site.test_serve import ROOT, address, environment, serving

pytestmark = pytest.mark.slow

PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"<!-- run(?:: (\w+))? -->\n```sh\n(.*?)```\n", re.DOTALL)
RECIPIENT = "http://127.0.0.1:8010"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Yield a folder and the address of the service that works in it."""
    folder = tmp_path_factory.mktemp("howto")
    with serving(folder) as (output, _):
        yield folder, address(output)


def blocks(page: str) -> list[str]:
    return [block for _, block in BLOCK.findall((ROOT / "docs" / "howto" / f"{page}.md").read_text())]


def run(block: str, folder: Path, url: str, **variables: str) -> str:
    """Run the commands of a page as a reader would paste them, and return their output."""
    commands = block.replace(RECIPIENT, url).replace("bin/orchestrator", f"{ROOT}/bin/orchestrator")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment(folder) | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_is_listed_and_asked(service: tuple[Path, str]) -> None:
    providers, ask = blocks("models")
    assert '"smollm2-135m-instruct"' in run(providers, *service)
    assert '"type":"end"' in run(ask, *service)


def test_tools_are_listed_run_and_recorded(service: tuple[Path, str]) -> None:
    listing, files, over_http, executions, passages, approvals = blocks("tools")
    assert "fs.apply_patch" in run(listing, *service)
    assert '"content": "hello"' in run(files, *service)
    assert "notes.txt" in run(over_http, *service)
    assert '"tool":"fs.list"' in run(executions, *service).replace(" ", "")
    assert "words.py:" in run(passages, *service)
    run(approvals, *service)


def test_a_run_is_followed_after_it_was_started(service: tuple[Path, str]) -> None:
    (block,) = blocks("runs")
    output = run(block, *service)
    assert output.count('"type":"start"') == 1
    assert output.count('"type":"end"') == 2
    assert output.endswith('"status": "completed"}') or '"status":"completed"' in output


def test_speech_is_synthesized_and_transcribed(service: tuple[Path, str]) -> None:
    both, providers = blocks("speech")
    assert "hello world" in run(both, *service).lower()
    assert '"local"' in run(providers, *service)


def test_a_key_is_made_used_and_revoked(tmp_path: Path) -> None:
    made, keyed, admin = blocks("keys")
    with serving(tmp_path) as (output, _):
        key = run(made, tmp_path, address(output)).strip()
        assert '"count"' in run(keyed, tmp_path, address(output), KEY=key)
        assert "was revoked" in run(admin, tmp_path, address(output))
        assert '"key_revoked"' in run(keyed, tmp_path, address(output), KEY=key)


def test_every_command_of_the_pages_is_run_or_is_a_setting() -> None:
    for page in PAGES:
        shells = page.read_text().count("```sh\n")
        runs = len(BLOCK.findall(page.read_text()))
        settings = len(re.findall(r"```sh\n(?:[A-Z_]+=.*\n)+```", page.read_text()))
        assert shells == runs + settings, page.name


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
