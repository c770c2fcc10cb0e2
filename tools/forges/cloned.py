"""A repository that was fetched: it is built in a private folder, checked, and moved into the workspace whole."""

import os
from pathlib import Path
from typing import IO, Final

import msgspec

from tools.base import Permits, ToolError
from tools.committing.tree_changes import TreeEntry, check_links
from tools.forges.allowed import Target
from tools.forges.pkt_line import LENGTH_DIGITS, malformed, read_line
from tools.forges.private_repository import ONE_THREAD, OWNER_ONLY, PrivateRepository, opened, write_layout
from tools.forges.transfer import MIB, SHA
from tools.git.limits import Limits
from tools.git.texts import parts_of
from tools.workspace import Deadline, Workspace
from tools.workspace.confinement.paths import Parts, joined, shown

MAX_SECONDS: Final = 120.0
MAX_FILES: Final = 100_000
LIMITS: Final = Limits(max_seconds=MAX_SECONDS, max_output_bytes=64 * MIB)
CONFIG: Final = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[remote "origin"]
\turl = {url}
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch "{branch}"]
\tremote = origin
\tmerge = refs/heads/{branch}
"""
MAX_HEAD_BYTES: Final = MIB


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """The pack of a branch's commit in a file, and the folder beside it for the repository."""

    target: Target
    branch: str
    commit: str
    answer: IO[bytes]
    folder: Path


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a work tree, and their bytes."""

    files: int
    size: int
    is_shallow: bool


def build(fetched: Fetched, root: Parts, permits: Permits | None, max_bytes: int, deadline: Deadline) -> Contents:
    """Build the repository in its folder. `root` is where it will be in the workspace. Raises `ToolError`."""
    shallow = _read_head(fetched.answer)
    git_folder = fetched.folder / ".git"
    config = CONFIG.format(url=fetched.target.url, branch=fetched.branch)
    fetched.folder.mkdir(OWNER_ONLY)
    write_layout(git_folder, f"ref: refs/heads/{fetched.branch}\n", config)
    if shallow:
        (git_folder / "shallow").write_text("".join(f"{sha}\n" for sha in shallow))
    for ref in (f"refs/heads/{fetched.branch}", f"refs/remotes/origin/{fetched.branch}"):
        (git_folder / ref).parent.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
        (git_folder / ref).write_text(f"{fetched.commit}\n")
    with opened(fetched.folder) as handle:
        repository = PrivateRepository(handle, deadline, LIMITS, is_bare=False)
        pack = fetched.answer.fileno()
        repository.git("index-pack", *ONE_THREAD, "--stdin", input_=pack, max_file_bytes=max_bytes)
        contents = _checked(repository, fetched.commit, root, permits, max_bytes)
        repository.git("read-tree", "--reset", "-u", fetched.commit, max_file_bytes=max_bytes)
    return msgspec.structs.replace(contents, is_shallow=bool(shallow))


def move_in(workspace: Workspace, path: str, folder: Path) -> None:
    """Move a folder to a path in the workspace that does not exist. Raises `ToolError`."""
    parent, _, name = path.rstrip("/").rpartition("/")
    with workspace.open_folder(parent or ".") as into:
        try:
            os.lstat(name, dir_fd=into.fileno())
        except FileNotFoundError:
            os.rename(folder, name, dst_dir_fd=into.fileno())
            return
    raise ToolError(f"{shown(path)} exists already: give the path of a new folder.", code="conflict")


def _read_head(answer: IO[bytes]) -> list[str]:
    """Return the commits without their parents, and leave the file at the beginning of the pack. Raises `ToolError`."""
    answer.flush()
    head = os.pread(answer.fileno(), MAX_HEAD_BYTES, 0)
    shallow: list[str] = []
    position = 0
    while position + LENGTH_DIGITS <= len(head):
        line, position = read_line(head, position)
        text = (line or b"").decode(errors="replace").strip()
        if text == "NAK":
            os.lseek(answer.fileno(), position, os.SEEK_SET)
            return shallow
        word, _, sha = text.partition(" ")
        if word == "shallow" and SHA.fullmatch(sha):
            shallow.append(sha)
        elif line is not None:
            break
    raise malformed()


def _checked(
    repository: PrivateRepository, commit: str, root: Parts, permits: Permits | None, max_bytes: int
) -> Contents:
    """Check the tree of a commit before it is written. Raises `ToolError`."""
    files, size, links = 0, 0, []
    for line in repository.git("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0")[:-1]:
        header, _, path = line.partition(b"\t")
        mode, kind, sha, length = header.decode().split()
        files += 1
        size += int(length) if kind == "blob" else 0
        entry = TreeEntry(path=path, mode=mode, sha=sha)
        if entry.is_link:
            links.append(entry)
        if permits and not permits(joined(parts_of(path, root))):
            raise ToolError("TOOL_POLICY does not let this call use one of its files.", code="denied")
        if files > MAX_FILES or size > max_bytes:
            raise ToolError(
                f"The repository has more than {MAX_FILES} files, or {max_bytes} bytes (GIT_CLONE_MAX_BYTES).",
                code="too_large",
            )
    if links:
        names = "".join(f"{entry.sha}\n" for entry in links).encode()
        check_links(links, repository.git("cat-file", "--batch", "--buffer", input_=names))
    return Contents(files=files, size=size, is_shallow=False)
