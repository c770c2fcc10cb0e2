"""`terminal.exec` in a writable workspace: writable paths, and protected ones.

Covers `tools.sandbox.protection.planted`, `tools.sandbox.protection.quarantine`, `tools.sandbox.protection.names`,
`tools.sandbox.protection.carveouts`.
"""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.tools.commands.terminals import ANY_PYTHON, contents, run, terminal_of, verdict
from tools.base import Tool
from tools.sandbox import subtrees
from tools.sandbox.protection.quarantine import Quarantine
from tools.sandbox.refusals import CommandRefusedError
from tools.sandbox.sandbox import Sandbox
from tools.workspace import Workspace
from tools.workspace.confinement.names import SECRETS

pytestmark = pytest.mark.usefixtures("kernel")

CANARY = "the-canary"

DONE = {
    "a new file": 'put("src/new.txt")',
    "a changed file": 'put("src/a.txt")',
    "a removed file": 'os.unlink("src/gone.txt")',
    "a new folder": 'os.makedirs("src/one/two")',
    "a moved file": 'os.rename("src/b.txt", "docs/b.txt")',
    "a link within": 'os.symlink("a.txt", "src/link-new")',
    "a second name within": 'os.link("src/a.txt", "src/second")',
    "a file beside git's folder, in place": 'put("README.md")',
    "a file beside a nested repository's folder, in place": 'put("vendor/lib/code.py")',
    "a folder beside a nested repository's folder": 'put("vendor/lib/src/new.py")',
    "a folder beside a nested repository": 'put("vendor/other/new.py")',
    "a file beside a secret, in place": 'put("conf/app.ini")',
    "the temporary folder": 'put(os.environ["TMPDIR"] + "/new")',
}

DENIED = {
    "git's settings": 'put(".git/config")',
    "git's settings, appended": 'open(".git/config", "a")',
    "git's settings, emptied": 'os.truncate(".git/config", 0)',
    "git's hooks": 'put(".git/hooks/post-checkout")',
    "git's folder, removed": 'os.unlink(".git/config")',
    "git's folder, moved": 'os.rename(".git", "src/git")',
    "git's folder, exchanged": 'exchange(".git", "src")',
    "git's settings, moved": 'os.rename(".git/config", "src/config")',
    "git's settings, replaced": 'os.rename("src/a.txt", ".git/config")',
    "git's settings, linked in": 'os.link(".git/config", "src/config")',
    "git's settings, linked out": 'os.link("src/a.txt", ".git/hooks/post-checkout")',
    "git's settings by a link": 'os.symlink("../.git/config", "src/link"); put("src/link")',
    "git's settings by a link that was there": 'put("src/link-config")',
    "git's folder by a link that was there": 'put("src/link-git/hooks/x")',
    "git's settings by the way up": 'put("src/../.git/config")',
    "git's settings by their handle": "put(f\"/proc/self/fd/{os.open('.git/config', os.O_RDONLY)}\")",
    "a nested repository's settings": 'put("vendor/lib/.git/config")',
    "a nested repository, moved": 'os.rename("vendor/lib", "src/lib")',
    "the folder of a nested repository": 'os.rename("vendor", "src/vendor")',
    "a worktree's file": 'put("tree/.git")',
    "a worktree's file, removed": 'os.unlink("tree/.git")',
    "a repository in other letters": 'put("odd/.GIT/config")',
    "a repository beside git's folder": 'os.mkdir(".git2")',
    "a new file beside git's folder": 'put("new.txt")',
    "a granted folder, moved": 'os.rename("src", "moved")',
    "a granted folder, removed": 'os.rmdir("empty")',
    "a file beside git's folder, moved": 'os.rename("README.md", "src/README.md")',
    "a file beside git's folder, replaced": 'os.rename("src/a.txt", "README.md")',
    "a secret": 'put("conf/.env")',
    "a secret, removed": 'os.unlink("conf/.env")',
    "a secret, moved": 'os.rename("conf/.env", "src/env")',
    "a secret, linked": 'os.link("conf/.env", "src/env")',
    "a secret, read": 'open("conf/.env").read()',
    "a secret by a link": 'open("src/link-secret").read()',
    "git's settings, read": 'open(".git/config").read()',
    "a file outside by a hard link": 'put("shared/shared.txt")',
    "a file outside by a link": 'put("src/link-out")',
    "a folder outside by a link": 'put("src/link-folder/new.txt")',
    "a file outside": 'put("../outside/shared.txt")',
    "a mode": 'os.chmod("src/a.txt", 0o4755)',
    "a device": 'os.mknod("src/device", 0o20666, os.makedev(1, 1))',
    "running what was written": 'put("src/run"); os.execv("src/run", ["run"])',
}

SCRIPT = """
import ctypes, errno, json, os
def put(path):
    with open(path, "r+" if os.path.exists(path) else "w") as file:
        file.write("changed")
def exchange(one, other):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, one.encode(), -100, other.encode(), 2) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")
verdicts = {}
for name, code in json.loads(CODE).items():
    try:
        exec(code)
        verdicts[name] = "done"
    except OSError as error:
        verdicts[name] = errno.errorcode[error.errno]
print(json.dumps(verdicts))
"""


def build(base: Path, outside: Path) -> None:
    """Create a workspace with nested repositories, secrets, and links to protected places."""
    files = {
        "README.md": "read",
        ".git/config": CANARY,
        ".git/hooks/sample": "",
        "src/a.txt": "a",
        "src/b.txt": "b",
        "src/gone.txt": "",
        "docs/c.txt": "c",
        "vendor/lib/.git/config": CANARY,
        "vendor/lib/code.py": "code",
        "vendor/lib/src/d.py": "d",
        "vendor/other/e.py": "e",
        "tree/.git": "gitdir: ../.git/worktrees/tree",
        "tree/f.txt": "f",
        "odd/.GIT/config": CANARY,
        "conf/.env": CANARY,
        "conf/app.ini": "ini",
    }
    for name, text in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("shared", "empty"):
        (base / name).mkdir()
    outside.mkdir()
    (outside / "shared.txt").write_text(CANARY)
    (base / "shared/shared.txt").hardlink_to(outside / "shared.txt")
    links = {"config": "../.git/config", "git": "../.git", "secret": "../conf/.env", "out": str(outside / "shared.txt")}
    for name, target in {**links, "folder": str(outside)}.items():
        (base / f"src/link-{name}").symlink_to(target)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    build(folder, tmp_path / "outside")
    return folder


@pytest.fixture
async def tool(base: Path, tmp_path: Path) -> AsyncIterator[Tool]:
    workspace = Workspace(base)
    yield terminal_of(workspace, tmp_path / "temporary", writable=True, whitelist=ANY_PYTHON)
    workspace.close()


async def attempt(tool: Tool, base: Path, codes: dict[str, str]) -> dict[str, str]:
    """Return the outcome of each piece of code: `done`, or its error."""
    (base / "src" / "script.py").write_text(f"CODE = {json.dumps(codes)!r}\n{SCRIPT}")
    result = await run(tool, argv=["python", "src/script.py"])
    assert result.exit_code == 0, result.stderr
    verdicts: dict[str, str] = json.loads(result.stdout)
    return verdicts


async def test_writable_paths_of_the_workspace_are_written(tool: Tool, base: Path) -> None:
    assert await attempt(tool, base, DONE) == dict.fromkeys(DONE, "done")
    assert (base / "src/new.txt").read_text() == "changed"
    assert (base / "README.md").read_text().startswith("changed")
    assert (base / "docs/b.txt").exists()


async def test_git_secrets_and_files_outside_are_not_written(tool: Tool, base: Path, tmp_path: Path) -> None:
    kept = {path: text for path, text in contents(tmp_path).items() if "/src/" not in path or "/src/link" in path}
    verdicts = await attempt(tool, base, DENIED)
    now = contents(tmp_path)

    assert {name: error for name, error in verdicts.items() if error not in {"EACCES", "EPERM", "EXDEV"}} == {}
    assert {path: now.get(path) for path in kept} == kept


async def test_read_only_commands_do_not_change_a_writable_workspace(tool: Tool, base: Path) -> None:
    before = contents(base)
    for command in ("sort README.md", "grep -r x .", "git status"):
        await verdict(tool, command=command)

    assert contents(base) == before


async def test_workspace_without_a_repository_is_writable_as_a_whole(tool: Tool, base: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    workspace = Workspace(plain)
    whole = terminal_of(workspace, tmp_path / "temporary", writable=True, whitelist=ANY_PYTHON)
    result = await run(whole, argv=["python", "-c", "open('new', 'w').write('x')"])
    workspace.close()

    assert result.exit_code == 0, result.stderr
    assert (plain / "new").read_text() == "x"


@pytest.mark.parametrize("bound", ["MAX_WALKED", "MAX_PARTS", "MAX_DEPTH"])
async def test_workspace_too_large_to_divide_is_not_writable(
    bound: str, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subtrees, bound, 2)
    code, said = await verdict(tool, command="echo")

    assert (code, "TERMINAL_WRITABLE" in said) == ("too_large", True)


async def test_unreadable_folder_is_skipped(tool: Tool, base: Path) -> None:
    (base / "docs" / "shut").mkdir(mode=0)
    result = await run(tool, argv=["python", "-c", "open('src/new', 'w')"])

    assert result.exit_code == 0, result.stderr
    os.chmod(base / "docs" / "shut", 0o700)  # noqa: PTH101  so that it can be removed


PLANTED = {
    "src/.git/config": "[core]",
    "src/deep/er/.GIT": "gitdir: x",
    "src/.env": "KEY=1",
    "src/server.pem": "key",
    "src/bare/HEAD": "ref: refs/heads/main",
    "src/bare/objects/x": "",
    "src/bare/refs/x": "",
    "src/kept/plain.txt": "plain",
}
LEFT = ["src/kept/plain.txt", "src/bare/objects/x", "src/link-within", "src/link-program"]
GONE = [
    "src/.git",
    "src/deep/er/.GIT",
    "src/.env",
    "src/server.pem",
    "src/bare/HEAD",
    "src/link-away",
    "src/link-chain",
]
PLANT = f"""
import os
for name, text in {PLANTED!r}.items():
    os.makedirs(os.path.dirname(name), exist_ok=True)
    open(name, "w").write(text)
os.symlink("/etc/passwd", "src/link-away")
os.symlink("link-away", "src/link-chain")
os.symlink("a.txt", "src/link-within")
os.symlink("/usr/bin/env", "src/link-program")
os.unlink("src/link-out"); os.symlink("/etc", "src/link-out")
"""


def present(base: Path, names: list[str]) -> list[str]:
    return [name for name in names if os.path.lexists(base / name)]


@pytest.mark.parametrize(
    ("ending", "code"), [("", "ran"), ("raise SystemExit(3)", "ran"), ("import time; time.sleep(60)", "timed_out")]
)
async def test_command_leaves_no_repository_secret_or_link_out(ending: str, code: str, tool: Tool, base: Path) -> None:
    before = contents(base)
    (base / "src" / "script.py").write_text(PLANT + ending)
    found, said = await verdict(tool, argv=["python", "src/script.py"], timeout=0.5)
    after = contents(base)

    assert (found, "Moved out of the workspace" in said) == (code, True)
    assert present(base, [*GONE, "src/link-out"]) == []
    assert present(base, LEFT) == LEFT
    assert {path: after.get(path) for path in before if "link-out" not in path} == {
        path: text for path, text in before.items() if "link-out" not in path
    }
    (quarantine,) = base.parent.glob(".workspace-quarantine/*/")
    assert len(list(quarantine.iterdir())) == len(GONE) + 1


async def test_plan_of_a_killed_service_is_carried_out_by_the_next(base: Path, tmp_path: Path) -> None:
    quarantine = Quarantine(base, (tmp_path / "quarantine",))
    lock, _ = quarantine._record(SECRETS, ["/usr"])
    (base / "src" / ".git").mkdir()
    assert quarantine.recover() == []
    os.close(lock)

    assert quarantine.recover() == ["src/.git"]
    assert present(base, ["src/.git", ".git", "conf/.env"]) == [".git", "conf/.env"]
    assert quarantine.recover() == []


async def test_launcher_clears_up_when_its_service_is_gone(base: Path, tmp_path: Path) -> None:
    quarantine = Quarantine(base, (tmp_path / "quarantine",))
    lock, plan = quarantine._record(SECRETS, ["/usr"])
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    body = "import os; os.mkdir('new'); os.mkdir('new/.git')"
    sandbox = Sandbox(temporary_beneath=tmp_path / "temporary")
    await sandbox.run(("python", "-c", body), cwd_handle=handle, writable_handles=(handle,), plan=plan, service=1)
    os.close(handle)
    os.close(lock)

    assert (present(base, ["new", "new/.git"]), quarantine.recover()) == (["new"], [])


def test_workspace_without_a_place_for_quarantine_is_not_writable(base: Path) -> None:
    with pytest.raises(CommandRefusedError, match="TERMINAL_WRITABLE"):
        Quarantine(base, (Path("/proc/none"), Path("/dev/shm"), base / "src")).folder()
