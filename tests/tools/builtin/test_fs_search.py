"""`fs.search`: matches, skipped files, and bounds.

Covers `tools.workspace.deadline`, `tools.workspace.reading.patterns`, `tools.workspace.reading.search`.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.base import ToolError
from tools.builtin import fs
from tools.workspace import Deadline, File, Limits, Match, Workspace


def fill(base: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(content)


def found(result: fs.SearchResult) -> list[tuple[str, int, str]]:
    return [(match.path, match.line, match.text) for match in result.matches]


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a{5000}", "\ud800"])
async def test_invalid_pattern_is_rejected(pattern: str, workspace: Workspace) -> None:
    with pytest.raises(ToolError) as refusal:
        await fs.search(workspace, pattern=pattern)
    assert refusal.value.code == "invalid_params"


@pytest.mark.parametrize("path", ["missing", "../", "/etc/passwd", ".git", ".env", "link_out", "a\0"])
async def test_protected_path_is_rejected(path: str, workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {".env": b"x", ".git/config": b"x"})
    (tmp_path / "link_out").symlink_to("/etc/passwd")
    with pytest.raises(ToolError):
        await fs.search(workspace, pattern="x", path=path)


async def test_secrets_git_links_and_binary_files_are_skipped(workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {".env": b"x", ".git/config": b"x", "k/id_rsa": b"x", "bin": b"x\n\0x", "a": b"x"})
    (tmp_path / "link").symlink_to("a")
    assert found(await fs.search(workspace, pattern="x")) == [("a", 1, "x")]


async def test_matches_are_sorted_by_path_and_line(workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {"b": b"x1\nno\nx2\n", "a/z": b"\r\n  x3\r\n", "c": b"no"})
    result = await fs.search(workspace, pattern="x")
    assert found(result) == [("a/z", 2, "  x3"), ("b", 1, "x1"), ("b", 3, "x2")]
    assert result.truncated is False


async def test_one_file_can_be_searched(workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {"a": b"x", "b": b"x"})
    (tmp_path / "link").symlink_to("b")
    assert found(await fs.search(workspace, pattern="x", path="link")) == [("b", 1, "x")]


async def test_glob_and_case_narrow_the_search(workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {"a.py": b"X", "a.txt": b"X", "src/b.py": b"x"})
    result = await fs.search(workspace, pattern="X", glob="*.py")
    assert found(result) == [("a.py", 1, "X")]
    result = await fs.search(workspace, pattern="X", glob="**/*.py", ignore_case=True)
    assert found(result) == [("a.py", 1, "X"), ("src/b.py", 1, "x")]


async def test_line_number_is_valid_for_fs_read(workspace: Workspace, tmp_path: Path) -> None:
    content = b"".join(b"line %d\n" % number for number in range(30_000)) + b"y" * 200_000 + b"\nneedle\n"
    fill(tmp_path, {"a": content})
    (match,) = (await fs.search(workspace, pattern="needle")).matches
    assert (await fs.read(workspace, path="a", offset=match.line, limit=1)).content == "needle\n"


async def test_long_line_is_truncated_around_its_match(workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {"a": "é".encode() * 5000 + b"needle" + b"y" * 5000, "b": b"needle" + b"y" * 5000})
    first, second = (await fs.search(workspace, pattern="needle")).matches
    assert first.text.startswith("…é")
    assert "needley" in first.text
    assert second.text.startswith("needle")
    assert first.text.endswith("y…")
    assert len(first.text) <= workspace.limits.max_match_chars + 2


async def test_invalid_utf8_in_a_line_is_replaced(workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {"a": b"caf\xe9 x"})
    assert found(await fs.search(workspace, pattern="x")) == [("a", 1, "caf\ufffd x")]


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (Limits(max_matches=3), 3),
        (Limits(max_scan_bytes=3), 2),
        (Limits(max_walked=1), 2),
        (Limits(max_seconds=0), 0),
    ],
    ids=["matches", "bytes", "walked", "seconds"],
)
async def test_search_that_exceeds_a_bound_is_marked_truncated(limits: Limits, count: int, tmp_path: Path) -> None:
    fill(tmp_path, {"a": b"x\nx", "b": b"x\nx", "c": b"x\nx"})
    result = await fs.search(Workspace(tmp_path, limits=limits), pattern="x")
    assert result.truncated is True
    assert len(result.matches) <= count


async def test_cancelled_search_ends_its_thread_before_the_caller_continues(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {f"{number}": b"x" for number in range(1000)})
    looked_into: list[str] = []
    begun, go_on = threading.Event(), threading.Event()
    blocks: Callable[..., Iterator[bytes]] = File.blocks

    def slowly(file: File, size: int, deadline: Deadline | None = None) -> Iterator[bytes]:
        looked_into.append(file.path)
        begun.set()
        go_on.wait(30)
        return blocks(file, size, deadline)

    monkeypatch.setattr(File, "blocks", slowly)
    search = asyncio.create_task(fs.search(workspace, pattern="x"))
    await asyncio.to_thread(begun.wait, 30)
    search.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await search
    assert looked_into == ["0"]


async def test_event_loop_is_not_blocked_by_an_expensive_pattern(workspace: Workspace, tmp_path: Path) -> None:
    fill(tmp_path, {f"{number}": b"x" * 100_000 for number in range(20)})
    search = asyncio.create_task(fs.search(workspace, pattern="(x+x+)+y|(x?){300}z"))
    turns = 0
    while not search.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 1
    assert (await search).matches == []


def test_match_is_a_plain_value() -> None:
    assert Match(path="a", line=1, text="x") == Match(path="a", line=1, text="x")
