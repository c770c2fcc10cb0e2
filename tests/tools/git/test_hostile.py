"""Hostile repositories, each through all four tools: no program runs, no secret leaks, and no file changes.

Covers `tools.git.refusals`, `tools.git.repository`, `tools.git.texts`.
"""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from tests.tools.git.building import Built
from tests.tools.git.hostile import CASES, SECRET, Case, Site, original, state_of
from tools.base import ToolError
from tools.builtin import git
from tools.git.hardening import ENVIRONMENT, hardened
from tools.git.limits import Limits
from tools.git.running import Runner
from tools.workspace import Deadline, Workspace

BRISK = Limits(max_seconds=1.5)
CODES = {"not_found", "not_allowed", "failed", "timed_out", "too_large"}
ONLY_THE_SANDBOX_PREVENTS = {"clean_filter", "clean_filter_of_one_word", "required_filter", "process_filter"}
WITH_PROGRAM = [case for case in CASES if case.plain]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return original(tmp_path_factory.mktemp("original") / "r")


@pytest.fixture
def site(tmp_path: Path, template: Built) -> Site:
    return Site(tmp_path / "site", template)


def test_set_of_hostile_repositories_is_large_enough() -> None:
    assert len(CASES) >= 60
    assert len(WITH_PROGRAM) >= 30


@pytest.mark.parametrize("case", WITH_PROGRAM, ids=lambda case: case.name)
def test_canary_runs_without_protection(case: Case, site: Site) -> None:
    case.build(site)
    if "--paginate" in case.plain:
        site.r.at_a_terminal(case.plain)
    else:
        site.r.run(case.plain)

    assert site.fired


@pytest.mark.parametrize("case", WITH_PROGRAM, ids=lambda case: case.name)
def test_hardening_without_the_sandbox_prevents_all_but_filters(case: Case, site: Site) -> None:
    case.build(site)
    for command in ("status", "diff", "log", "show"):
        site.r.run(hardened((command,))[1:], environment=ENVIRONMENT)

    assert site.fired == (case.name in ONLY_THE_SANDBOX_PREVENTS)


@pytest.mark.parametrize(
    "command", ["!echo ran", "!/bin/echo ran", "!./canary.sh", "!git version", "!/usr/bin/git version"]
)
async def test_sandboxed_git_starts_no_program(command: str, site: Site) -> None:
    """Try an alias, which git certainly runs when asked to."""
    site.r.configure(f"[alias] canary = {command}")
    workspace = Workspace(site.base)
    runner = Runner(workspace, limits=BRISK)
    with workspace.open_folder("r") as folder:
        said = runner.run(("canary",), folder, Deadline(BRISK.max_seconds))

    assert said.exit_code
    assert said.output == b""
    assert b"Permission denied" in said.errors
    assert not site.fired


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_hostile_repository_runs_leaks_and_changes_nothing(case: Case, site: Site) -> None:
    case.build(site)
    before, began = state_of(site.folder), time.monotonic()
    workspace = Workspace(site.base)
    runner = Runner(workspace, limits=BRISK)
    answers = await asyncio.gather(
        git.show_status(runner, path="r"),
        git.diff(runner, path="r"),
        git.diff(runner, path="r", ref="HEAD"),
        git.log(runner, path="r"),
        git.show(runner, path="r"),
        return_exceptions=True,
    )
    workspace.close()
    shown = "".join(map(_as_text, answers))

    assert time.monotonic() - began < BRISK.max_seconds + 3
    assert not site.fired
    assert SECRET not in shown
    assert state_of(site.folder) == before
    assert not case.works or not [answer for answer in answers if isinstance(answer, BaseException)]
    if case.works:
        assert '"path":"r/a.txt","status":' in shown


async def test_commit_of_another_repository_is_not_shown(site: Site) -> None:
    next(case for case in CASES if case.name == "alternate_objects_outside").build(site)
    runner = Runner(Workspace(site.base), limits=BRISK)
    commit = (site.git_folder / "refs/heads/theirs").read_text().strip()

    for ref in ("theirs", commit):
        for refused in (git.show(runner, path="r", ref=ref), git.log(runner, path="r", ref=ref)):
            with pytest.raises(ToolError) as refusal:
                await refused
            assert SECRET not in str(refusal.value)


async def test_replaced_commit_is_shown_in_its_original_form(site: Site) -> None:
    next(case for case in CASES if case.name == "replaced_commit").build(site)
    site.r.configure("[core] useReplaceRefs = true")
    runner = Runner(Workspace(site.base), limits=BRISK)

    assert (await git.show(runner, path="r")).commit.subject == "second"


def _as_text(answer: object) -> str:
    if isinstance(answer, ToolError):
        assert answer.code in CODES, answer
        return str(answer)
    assert isinstance(answer, msgspec.Struct), answer
    return msgspec.json.encode(answer).decode()
