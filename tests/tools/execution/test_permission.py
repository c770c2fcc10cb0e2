"""The policy on every file that a call reaches, by whatever words the call names it.

Covers `tools.workspace.naming`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spending.accounts import Payer
from tests.tools.git.building import Built
from tools.base import Failed, Source, Succeeded, ToolRequest
from tools.builtin import fs, git, patch, terminal
from tools.changes.log import ChangeStore
from tools.execution.context import ToolContext
from tools.execution.executor import ToolExecutor
from tools.execution.offered import offered_tools
from tools.execution.request import grant_all
from tools.git.running import Runner
from tools.output.masking import Masker
from tools.output.store import OutputStore
from tools.policy import parse
from tools.registry import Registry
from tools.sandbox.sandbox import Sandbox
from tools.workspace import Workspace

RULE = "deny fs.* path=secrets/*"
CANARY = "the-canary"
ADD = "*** Begin Patch\n*** Add File: {}\n+x\n*** End Patch"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "secrets" / "deep").mkdir(parents=True)
    (folder / "docs").mkdir()
    for name in ("secrets/plan.txt", "secrets/deep/b.txt", "docs/a.txt"):
        (folder / name).write_text(f"{CANARY} of {name}\n")
    (folder / "link").symlink_to("secrets")
    (folder / "docs" / "link.txt").symlink_to("../secrets/plan.txt")
    (folder / "docs" / "down").symlink_to("../secrets/deep")
    return folder


@pytest.fixture
def workspace(base: Path) -> Iterator[Workspace]:
    opened = Workspace(base)
    yield opened
    opened.close()


async def call(
    workspace: Workspace, name: str, rules: str = RULE, source: Source = "caller", **params: Any
) -> Succeeded | Failed:
    """Return the outcome of one call, of which nothing is stored."""
    files = (*fs.tools(workspace), *patch.tools(workspace))
    # The git tools run git once when they are made.
    repository = git.tools(Runner(workspace)) if name.startswith("git.") else ()
    registry = Registry((*files, *repository, *terminal.tools(workspace, Sandbox())))
    context = ToolContext(
        registry=registry,
        policy=parse(rules),
        masker=Masker([]),
        outputs=OutputStore(workspace.base, 1_000),
        changes=ChangeStore(workspace.base, 1_000),
        result_bytes=10_000,
        approval_seconds=60,
        client_seconds=60,
    )

    async def discard(_: object) -> None:
        return None

    offered = offered_tools(tuple(registry), context.policy, grant_all)
    executor = ToolExecutor(context, Payer(owner="alice"), discard, offered=offered, stored=False)
    request = ToolRequest(tool=name, arguments=msgspec.json.encode(params).decode(), source=source)
    steps = [step async for step in executor.execute(executor.inspect(request))]
    assert isinstance(steps[-1], Succeeded | Failed)
    return steps[-1]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("fs.read", {"path": "secrets/plan.txt"}),
        ("fs.read", {"path": "./docs/../secrets//plan.txt"}),
        ("fs.read", {"path": "{base}/secrets/plan.txt"}),
        ("fs.read", {"path": "link/plan.txt"}),
        ("fs.read", {"path": "docs/link.txt"}),
        ("fs.read", {"path": "docs/down/../plan.txt"}),
        ("fs.read", {"path": "docs/down/../missing.txt"}),
        ("fs.read", {"path": "secrets/missing.txt"}),
        ("fs.read", {"path": "secrets/plan.txt/x/../../../docs/a.txt"}),
        ("fs.read", {"path": "secrets/missing.txt/x/../../../docs/a.txt"}),
        ("fs.list", {"path": "secrets"}),
        ("fs.list", {"path": "link"}),
        ("fs.list", {"path": "secrets/plan.txt"}),
        ("fs.search", {"path": "secrets", "pattern": CANARY}),
        ("fs.search", {"path": "docs/down/..", "pattern": CANARY}),
        ("fs.write", {"path": "link/new.txt", "content": "x"}),
        ("fs.apply_patch", {"patch": ADD.format("secrets/new.txt")}),
        ("fs.apply_patch", {"patch": ADD.format("link/new.txt")}),
        ("fs.apply_patch", {"patch": "*** Begin Patch\n*** Delete File: docs/link.txt\n*** End Patch"}),
        ("git.diff", {"path": "secrets"}),
        ("git.show", {"path": "link/plan.txt"}),
    ],
)
async def test_denied_path_is_denied_in_every_spelling(
    workspace: Workspace, base: Path, name: str, params: dict[str, str]
) -> None:
    filled = {key: value.replace("{base}", str(base)) for key, value in params.items()}

    outcome = await call(workspace, name, **filled)

    assert isinstance(outcome, Failed)
    # The same answer for a file that exists and one that does not.
    assert (outcome.code, outcome.error) == (
        "denied",
        f"TOOL_POLICY does not let a caller run {name} with these params.",
    )
    assert not (base / "secrets" / "new.txt").exists()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("fs.list", {"recursive": True}),
        ("fs.list", {"glob": "secrets/**"}),
        ("fs.list", {"glob": "**/*.txt"}),
        ("fs.search", {"pattern": CANARY}),
        ("fs.search", {"pattern": CANARY, "glob": "secrets/**"}),
    ],
)
async def test_denied_files_are_left_out_of_a_wider_listing(
    workspace: Workspace, name: str, params: dict[str, Any]
) -> None:
    outcome = await call(workspace, name, **params)

    assert isinstance(outcome, Succeeded)
    assert "secrets/" not in str(outcome.data)


@pytest.mark.parametrize(
    "rule", ["deny fs.read path=secrets/*", "ask fs.read path=secrets/*", "deny * path=*/plan.txt"]
)
async def test_rule_about_reading_holds_for_a_search(workspace: Workspace, rule: str) -> None:
    outcome = await call(workspace, "fs.search", rule, pattern=CANARY)

    assert isinstance(outcome, Succeeded)
    assert "secrets/plan.txt" not in str(outcome.data)
    assert "docs/a.txt" in str(outcome.data)


async def test_later_allow_overrides_an_ask_about_a_file(workspace: Workspace) -> None:
    rules = ("ask fs.read path=secrets/*", "allow fs.read path=secrets/deep/*", "ask fs.search", "allow fs.search")

    outcome = await call(workspace, "fs.search", "; ".join(rules), pattern=CANARY)

    assert isinstance(outcome, Succeeded)
    assert [match["path"] for match in outcome.data["matches"]] == ["docs/a.txt", "secrets/deep/b.txt"]


async def test_link_made_after_the_decision_is_checked_again(workspace: Workspace, base: Path) -> None:
    permitted = workspace.restricted(lambda path: not path.startswith("secrets/"))
    (base / "docs" / "late.txt").symlink_to("../secrets/plan.txt")

    for use in (permitted.open_file, permitted.entry, lambda path: permitted.write(path, b"x")):
        with pytest.raises(Exception, match="TOOL_POLICY") as refusal:
            use("docs/late.txt")
        assert "secrets" not in str(refusal.value)
    assert CANARY in (base / "secrets" / "plan.txt").read_text()


async def test_denied_file_is_withheld_from_a_diff(workspace: Workspace, base: Path) -> None:
    built = Built(base)
    built.git("init", "--quiet")
    built.commit()
    (base / "secrets" / "plan.txt").write_text("changed-canary\n")
    (base / "docs" / "a.txt").write_text("changed\n")

    shown = await call(workspace, "git.show")
    diff = await call(workspace, "git.diff")
    status = await call(workspace, "git.status", "deny git.* path=secrets/*")

    assert isinstance(shown, Succeeded)
    assert isinstance(diff, Succeeded)
    assert isinstance(status, Succeeded)
    assert "canary of docs/a.txt" in shown.data["text"]
    assert "canary of secrets" not in shown.data["text"]
    assert (diff.data["withheld"], "+changed\n" in diff.data["text"]) == (["secrets/plan.txt"], True)
    assert "changed-canary" not in diff.data["text"]
    assert [entry["path"] for entry in status.data["unstaged"]] == ["docs/a.txt"]


@pytest.mark.parametrize(
    "params",
    [
        {"command": "git show"},
        {"command": "git -P show HEAD"},
        {"command": "git --no-pager show HEAD"},
        {"command": "git -P --no-pager 'show'"},
        {"argv": ["git", "-P", "show", "--stat"]},
    ],
)
async def test_rule_about_a_command_holds_for_its_other_forms(workspace: Workspace, params: dict[str, Any]) -> None:
    outcome = await call(workspace, "terminal.exec", 'deny terminal.exec "command=git show*"', **params)

    assert isinstance(outcome, Failed)
    assert outcome.code == "denied"


async def test_rule_about_a_folder_of_commands_holds_behind_a_link(workspace: Workspace) -> None:
    for rule in ("cwd=secrets", "cwd=secrets/*"):
        outcome = await call(workspace, "terminal.exec", f"deny terminal.exec {rule}", command="ls", cwd="link")
        assert isinstance(outcome, Failed)
        assert outcome.code == "denied"


async def test_allow_needs_the_link_and_its_target(workspace: Workspace) -> None:
    rules = "deny fs.write; ask fs.read; allow fs.read path=docs/*"

    assert isinstance(await call(workspace, "fs.read", rules, path="docs/a.txt"), Succeeded)
    # Nothing is stored, so nothing can wait for an approval.
    assert isinstance(await call(workspace, "fs.read", rules, path="docs/link.txt"), Failed)
