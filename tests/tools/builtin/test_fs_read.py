"""`fs.read`: pages of lines of any file, in little memory.

Covers `tools.workspace.reading.pages`.
"""

import asyncio
import base64
import gc
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.base import ToolError
from tools.builtin import fs
from tools.workspace import Deadline, Limits, Workspace

ROOT = Path(__file__).resolve().parents[3]
SMALL = Limits(max_read_bytes=16, max_line_bytes=8)
PIECES = st.sampled_from(
    [b"a", b"\n", b"\r\n", b"\r", b"\0", b"\xff", "é".encode(), "€".encode(), b"a long line", b"\xef\xbb\xbf"]
)


async def code_of(workspace: Workspace, path: str, offset: int = 1) -> str:
    with pytest.raises(ToolError) as refusal:
        await fs.read(workspace, path=path, offset=offset)
    return refusal.value.code


def decoded(result: fs.ReadResult) -> bytes:
    if result.encoding == "base64":
        return base64.b64decode(result.content)
    return result.content.encode(result.encoding)


async def pages(workspace: Workspace, path: str, limit: int | None = None) -> list[fs.ReadResult]:
    """Return all pages of a file, as a model would request them."""
    results = [await fs.read(workspace, path=path, limit=limit)]
    while (offset := results[-1].next_offset) is not None:
        results.append(await fs.read(workspace, path=path, offset=offset, limit=limit))
    return results


async def test_page_past_the_end_is_rejected_with_the_last_line_number(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n3")
    with pytest.raises(ToolError, match="has no line 4: its last is line 3") as refusal:
        await fs.read(workspace, path="a", offset=4)
    assert refusal.value.code == "invalid_params"
    (tmp_path / "empty").touch()
    assert await code_of(workspace, "empty", offset=2) == "invalid_params"


async def test_slow_read_times_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert await code_of(Workspace(tmp_path, limits=Limits(max_seconds=0)), "a") == "timed_out"


async def test_cancelled_read_ends_its_thread_without_an_unhandled_error(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    begun, go_on = threading.Event(), threading.Event()
    check = Deadline.check
    codes: list[str] = []
    unhandled: list[dict[str, object]] = []

    def slowly(deadline: Deadline) -> None:
        begun.set()
        go_on.wait(30)
        try:
            check(deadline)
        except ToolError as error:
            codes.append(error.code)
            raise

    monkeypatch.setattr(Deadline, "check", slowly)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: unhandled.append(context))
    reading = asyncio.create_task(fs.read(workspace, path="a"))
    await asyncio.to_thread(begun.wait, 30)
    reading.cancel()
    loop.call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await reading
    gc.collect()
    assert codes == ["cancelled"]
    assert unhandled == []


@pytest.mark.parametrize("limits", [{"max_read_bytes": 3}, {"max_line_bytes": 0}])
def test_limits_below_one_character_are_rejected(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        Limits(**limits)


@pytest.mark.parametrize("path", ["missing", "folder", "fifo", ".env", ".git/config", "../x", "/etc/passwd"])
async def test_unreadable_path_is_rejected(path: str, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert await code_of(workspace, path) in {"not_found", "not_allowed", "outside_workspace"}


def test_sparse_and_endless_files_are_read_in_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 * 1024**3)
    with (tmp_path / "endless").open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 1024**2)
    script = f"""
import asyncio, resource
from pathlib import Path
from tools.base import ToolError
from tools.builtin import fs
from tools.workspace import *
workspace = Workspace(Path({str(tmp_path)!r}))
asyncio.run(fs.list_(workspace))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in ("sparse", "endless"):
    page = asyncio.run(fs.read(workspace, path=path))
    assert page.truncated and page.next_offset == 65, page.next_offset
    asyncio.run(fs.read(workspace, path=path, offset=1000))
    asyncio.run(fs.search(workspace, pattern="y", path=path))
    try:
        workspace.read_bytes(path)
    except ToolError as error:
        print(error.code)
    try:
        asyncio.run(fs.read(workspace, path=path, offset=10**9))
    except ToolError as error:
        print(error.code)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    *codes, grown_kib = ended.stdout.split()
    assert codes == ["too_large", "too_large", "too_large", "invalid_params"]
    assert int(grown_kib) < 64 * 1024


async def test_very_large_file_has_a_size_and_no_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n3\n")
    workspace = Workspace(tmp_path, limits=Limits(max_hash_bytes=5))
    result = await fs.read(workspace, path="a", limit=1)
    assert (result.size, result.sha256, result.next_offset) == (6, None, 2)
    assert (await fs.read(workspace, path="a", offset=2)).next_offset is None


async def test_small_file_is_read_in_one_page(workspace: Workspace, tmp_path: Path) -> None:
    data = "\ufeffone\r\ntwo\rstill two\nthré".encode()
    (tmp_path / "a").write_bytes(data)
    result = await fs.read(workspace, path="a")
    assert result == fs.ReadResult(
        content=data.decode(),
        encoding="utf-8",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        truncated=False,
        next_offset=None,
    )


async def test_empty_file_is_read(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    result = await fs.read(workspace, path="a")
    assert (result.content, result.size, result.truncated) == ("", 0, False)


@pytest.mark.parametrize(
    ("asked", "content", "next_offset"),
    [
        ({"limit": 1}, "1\n", 2),
        ({"offset": 2, "limit": 1}, "2\n", 3),
        ({"offset": 2, "limit": 2}, "2\n3", None),
        ({"offset": 3, "limit": 1}, "3", None),
        ({"limit": 3}, "1\n2\n3", None),
        ({"offset": 3, "limit": 9}, "3", None),
        ({"offset": 2}, "2\n3", None),
    ],
)
async def test_page_has_the_requested_lines(
    asked: dict[str, int], content: str, next_offset: int | None, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n3")
    result = await fs.read(workspace, path="a", **asked)
    assert (result.content, result.next_offset, result.truncated) == (content, next_offset, next_offset is not None)
    assert (result.size, result.sha256) == (5, hashlib.sha256(b"1\n2\n3").hexdigest())


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfe", "é".encode("latin-1"), b"\xff\xfea\0\0\0", b"\xed\xa0\x80"])
async def test_binary_content_is_returned_as_base64(data: bytes, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    result = await fs.read(workspace, path="a")
    assert result.encoding == "base64"
    assert decoded(result) == data


@settings(deadline=None)
@given(data=st.lists(PIECES).map(b"".join), limit=st.none() | st.integers(1, 4))
async def test_pages_join_to_the_file_byte_for_byte(
    data: bytes, limit: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("base")
    (base / "a").write_bytes(data)
    workspace = Workspace(base, limits=SMALL)
    results = await pages(workspace, "a", limit)
    workspace.close()
    assert b"".join(map(decoded, results)) == data
    assert {result.sha256 for result in results} == {hashlib.sha256(data).hexdigest()}
    assert all(len(decoded(result)) <= SMALL.max_read_bytes for result in results)


async def test_large_file_is_paged_at_the_default_limits(workspace: Workspace, tmp_path: Path) -> None:
    data = b"".join(b"line %d\r\n" % number for number in range(300_000)) + b"x" * 200_000 + b"\n" + os.urandom(300_000)
    (tmp_path / "a").write_bytes(data)
    results = await pages(workspace, "a")
    assert len(results) == 2
    assert b"".join(map(decoded, results)) == data
