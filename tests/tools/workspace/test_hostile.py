"""Paths to the outside, to git's folder, to secrets or to special files: none is opened by any method.

Covers `tools.workspace.confined`, `tools.workspace.confinement.files`, `tools.workspace.confinement.resolving`,
`tools.workspace.refusals`, `tools.workspace.threads`.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tools.base import ToolError
from tools.builtin import fs
from tools.workspace import Deadline, Workspace
from tools.workspace.confinement.opening import Opener

CANARY = "canary-b5f1"

OUTSIDE = (
    "..",
    "../",
    "../outside",
    "../outside/canary.txt",
    "../base/../outside/canary.txt",
    "docs/../../outside/canary.txt",
    "docs/../../../../../../../../../../etc/passwd",
    "./../outside/canary.txt",
    ".//..//outside//canary.txt",
    "docs/deep/../../../outside/canary.txt",
    "docs/./../../outside/canary.txt",
    "missing/../../outside/canary.txt",
    "/etc/passwd",
    "/",
    "//",
    "//etc/passwd",
    "/proc/self/root/etc/passwd",
    "/proc/self/environ",
    "/proc/self/cwd/../outside/canary.txt",
    "/dev/zero",
    "/dev/stdin",
    "{outside}/canary.txt",
    "/{outside}/canary.txt",
    "{base}/../outside/canary.txt",
    "{base}/docs/../../outside/canary.txt",
    "{base}x/canary.txt",
    "{base}-beside/canary.txt",
    "{parent}",
    "{parent}/",
    "link_out",
    "link_absolute",
    "link_absolute_inside",
    "link_folder/canary.txt",
    "link_root/etc/passwd",
    "link_root/proc/self/environ",
    "link_parent/outside/canary.txt",
    "link_proc/etc/passwd",
    "link_chain",
    "link_zigzag",
    "docs/up/canary.txt",
    "link_through_up",
    "link_parent/base/../outside/canary.txt",
    "docs/back/../outside/canary.txt",
    "dangling_out",
    "dangling_out/new.txt",
)
GIT = (
    ".git",
    ".git/",
    ".git/config",
    ".git/hooks/pre-commit",
    "./.git/config",
    ".git//config",
    ".git/../a.txt",
    "docs/../.git/config",
    ".GIT/config",
    ".Git/config",
    ".gIt/hooks/post-checkout",
    "docs/.git/config",
    "docs/.GIT",
    "{base}/.git/config",
    "git~1/config",
    "GIT~1/config",
    "Git~2/config",
    ".git./config",
    ".git /config",
    ".git. . ./config",
    ".git::$INDEX_ALLOCATION/config",
    ".git:stream",
    ".GIT . ::$DATA",
    ".git\\config",
    "docs\\.git\\config",
    ".g\u200cit/config",
    ".git\u200d/config",
    "\ufeff.git/config",
    ".g\u00adit/config",
    ".gi\u2060t/config",
    ".\u202egit/config",
    ".git\ufe0f/config",
    ".g\U000e0001it/config",
    "link_git/config",
    "link_git_config",
    "link_link_git/config",
    "docs/link_git_up/config",
)
SECRETS = (
    ".env",
    "./.env",
    "{base}/.env",
    ".ENV",
    ".env.local",
    ".env.production",
    ".envrc",
    ".env::$DATA",
    ".e\u200bnv",
    "prod.env",
    "docs/.env",
    "id_rsa",
    "ID_RSA",
    "id_ed25519",
    "deploy_rsa",
    "keys/server.pem",
    "keys/server.PEM",
    "keys/server.key",
    "keys/server.key.",
    "store.p12",
    ".ssh/config",
    ".ssh/../.ssh/known_hosts",
    ".aws/credentials",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    "credentials.json",
    "link_env",
    "docs/link_key",
    "link_ssh/config",
)
NOT_FILES = (
    "fifo",
    "socket",
    "docs",
    "docs/",
    ".",
    "./",
    "{base}",
    "link_docs",
    "link_fifo",
    "loop_a",
    "loop_self",
    "loop_a/x",
    "a.txt/",
    "a.txt/.",
)
MISSING = (
    "missing.txt",
    "missing/a.txt",
    "dangling",
    "a.txt/b",
    "~/a.txt",
    "~root/.bashrc",
    "$HOME/a.txt",
    "file:///etc/passwd",
    "..\\..\\outside\\canary.txt",
    "C:\\Windows\\win.ini",
    "%2e%2e/outside/canary.txt",
    "..%2foutside",
    "…/outside",
    "\uff0e\uff0e/outside/canary.txt",
    "...",
    "a.txt\n",
    " a.txt",
    "-rf",
    "`id`",
    "\u202etxt.a",
)
INVALID = (
    "",
    "\0",
    "a.txt\0",
    "a.txt\0.png",
    "../\0",
    "\ud800",
    "docs/\udcff.txt",
    "\udc2e\udc2e/outside",
    "n" * 256,
    "é" * 128,
    "docs/" + "n" * 300 + "/a.txt",
    "d/" * 65 + "a.txt",
    "d/" * 3000,
    "n" * 5000,
    "../" * 65,
    "/" * 5000,
)
CASES = [
    *((path, {"outside_workspace"}) for path in OUTSIDE),
    *((path, {"not_allowed"}) for path in (*GIT, *SECRETS, *NOT_FILES)),
    *((path, {"not_found"}) for path in MISSING),
    *((path, {"invalid_params"}) for path in INVALID),
]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Create a workspace full of traps, beside a folder with the canary."""
    base, outside = tmp_path / "base", tmp_path / "outside"
    for folder in (outside, base / "docs/deep", base / ".git/hooks", base / "keys", base / ".ssh", base / ".aws"):
        folder.mkdir(parents=True)
    for beside in ("basex", "base-beside"):
        (tmp_path / beside).mkdir()
        (tmp_path / beside / "canary.txt").write_text(CANARY)
    (outside / "canary.txt").write_text(CANARY)
    (base / "a.txt").write_text("plain\n")
    (base / "docs/guide.md").write_text("guide\n")
    for secret in (".git/config", ".env", ".env.local", "id_rsa", "keys/server.pem", ".ssh/config", ".aws/credentials"):
        (base / secret).write_text(CANARY)
    _lay_links(base, outside)
    os.mkfifo(base / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(base, os.O_RDONLY)
        try:
            server.bind(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
    return base


def _lay_links(base: Path, outside: Path) -> None:
    links = {
        "link_out": "../outside/canary.txt",
        "link_absolute": f"{outside}/canary.txt",
        "link_absolute_inside": f"{base}/a.txt",
        "link_folder": "../outside",
        "link_root": "/",
        "link_parent": "..",
        "link_proc": "/proc/self/root",
        "link_chain": "link_chain_2",
        "link_chain_2": "docs/../link_out",
        "link_zigzag": "docs/../../outside/canary.txt",
        "docs/up": "../../outside",
        "docs/back": "..",
        "link_through_up": "docs/up/canary.txt",
        "dangling": "missing",
        "dangling_out": "../outside/new.txt",
        "link_git": ".git",
        "link_git_config": ".git/config",
        "link_link_git": "link_git",
        "docs/link_git_up": "../.git",
        "link_env": ".env",
        "docs/link_key": "../keys/server.pem",
        "link_ssh": ".ssh",
        "link_docs": "docs",
        "link_fifo": "fifo",
        "loop_a": "loop_b",
        "loop_b": "loop_a",
        "loop_self": "loop_self",
    }
    for name, target in links.items():
        (base / name).symlink_to(target)


@pytest.fixture
def workspace(base: Path, opener: Opener) -> Iterator[Workspace]:
    workspace = Workspace(base, opener=opener)
    yield workspace
    workspace.close()


def _placed(path: str, base: Path) -> str:
    return (
        path.replace("{base}", str(base))
        .replace("{parent}", str(base.parent))
        .replace("{outside}", str(base.parent / "outside"))
    )


def _beyond(base: Path) -> dict[str, str]:
    """Return everything that no tool may change, with its content."""
    guarded = [path for path in base.parent.rglob("*") if not path.is_relative_to(base)]
    guarded += [
        path for name in (".git", ".env", ".env.local", "id_rsa", "keys", ".ssh", ".aws") for path in _tree(base / name)
    ]
    return {str(path): path.read_text() if path.is_file() else "" for path in guarded}


def _tree(path: Path) -> list[Path]:
    return [path, *path.rglob("*")]


@pytest.mark.parametrize(("path", "codes"), CASES, ids=[ascii(path[:40]) for path, _ in CASES])
def test_hostile_path_is_not_read(path: str, codes: set[str], workspace: Workspace, base: Path) -> None:
    with pytest.raises(ToolError) as refusal:
        workspace.read_bytes(_placed(path, base))
    assert refusal.value.code in codes, refusal.value
    assert CANARY not in str(refusal.value)
    assert len(str(refusal.value)) < 600
    str(refusal.value).encode()


@pytest.mark.parametrize("path", [path for path, _ in CASES], ids=[ascii(path[:40]) for path, _ in CASES])
def test_hostile_path_reveals_and_changes_nothing_through_any_tool(path: str, workspace: Workspace, base: Path) -> None:
    before = _beyond(base)
    for reply in asyncio.run(_replies_of_every_tool(workspace, _placed(path, base))):
        assert CANARY not in reply
        assert "root:x:0" not in reply
    assert _beyond(base) == before
    assert not list(base.rglob("*.partial"))


async def _replies_of_every_tool(workspace: Workspace, path: str) -> list[str]:
    """Return the reply of each tool to a path: its result as JSON, or its error."""
    calls = (
        fs.read(workspace, path=path),
        fs.list_(workspace, path=path, recursive=True),
        fs.search(workspace, path=path, pattern=CANARY[:6]),
        fs.write(workspace, path=path, content="harm"),
        fs.write(workspace, path=path, content="harm", create_only=True),
    )
    outcomes = [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
    assert not [
        outcome for outcome in outcomes if isinstance(outcome, Exception) and not isinstance(outcome, ToolError)
    ]
    return [
        str(outcome) if isinstance(outcome, ToolError) else msgspec.json.encode(outcome).decode()
        for outcome in outcomes
    ]


@pytest.mark.parametrize("path", [*OUTSIDE, *GIT, *SECRETS, *INVALID], ids=lambda path: ascii(path[:40]))
def test_hostile_path_is_neither_written_nor_removed(path: str, workspace: Workspace, base: Path) -> None:
    before = _beyond(base)
    with pytest.raises(ToolError):
        workspace.write(_placed(path, base), b"harm")
    assert _beyond(base) == before


def test_device_is_rejected_without_being_read(workspace: Workspace, base: Path) -> None:
    try:
        os.mknod(base / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device needs root")
    with pytest.raises(ToolError, match="is a device") as refusal:
        workspace.read_bytes("zero")
    assert refusal.value.code == "not_allowed"


def test_search_skips_secrets_links_and_special_files(workspace: Workspace) -> None:
    result = asyncio.run(fs.search(workspace, pattern="."))
    assert [match.path for match in result.matches] == ["a.txt", "docs/guide.md"]


def test_listing_names_secrets_and_links_but_omits_git(workspace: Workspace) -> None:
    result = asyncio.run(fs.list_(workspace, recursive=True))
    types = {entry.path: entry.type for entry in result.entries}
    assert types[".env"] == "file"
    assert types["link_out"] == "symlink"
    assert types["fifo"] == types["socket"] == "other"
    assert not [path for path in types if path.startswith(".git")]
    assert result.truncated is False


def test_hard_link_is_read_like_any_file(workspace: Workspace, base: Path) -> None:
    os.link(base.parent / "outside/canary.txt", base / "hard.txt")
    assert workspace.read_bytes("hard.txt") == CANARY.encode()


def test_write_to_a_hard_link_does_not_change_the_other_name(workspace: Workspace, base: Path) -> None:
    os.link(base.parent / "outside/canary.txt", base / "hard.txt")
    workspace.write("hard.txt", b"mine")
    assert (base.parent / "outside/canary.txt").read_text() == CANARY


def test_listing_of_a_link_to_a_folder_outside_is_rejected(workspace: Workspace) -> None:
    with pytest.raises(ToolError) as refusal:
        workspace.entry("link_folder")
    assert refusal.value.code == "outside_workspace"


def test_folder_replaced_by_a_link_is_not_entered(workspace: Workspace, base: Path) -> None:
    walk = iter(workspace.walk(workspace.entry("."), recursive=True, deadline=Deadline(10)))
    seen = []
    for entry in walk:
        seen.append(entry.path)
        if entry.path == "docs":
            (base / "docs").rename(base / "moved")
            (base / "docs").symlink_to("../outside")
    assert not [path for path in seen if path.startswith("docs/")]


def test_listed_file_that_a_link_replaced_is_not_opened(workspace: Workspace, base: Path) -> None:
    walk = workspace.walk(workspace.entry("docs"), recursive=True, deadline=Deadline(10))
    codes = set()
    for entry in walk:
        if entry.type == "file":
            (base / entry.path).unlink()
            (base / entry.path).symlink_to(base.parent / "outside/canary.txt")
            with pytest.raises(ToolError) as refusal, workspace.open_entry(walk, entry):
                pass
            codes.add(refusal.value.code)
    assert codes == {"conflict"}
