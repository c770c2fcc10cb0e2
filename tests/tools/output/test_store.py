"""The output store: complete outputs, each for its owner only.

Covers `tools.builtin.output`.
"""

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from tools.output.store import BLOCK_BYTES, OutputPage, OutputStore, page_of


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    return OutputStore(tmp_path / "outputs", 1_000_000)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_stored_output_is_read_in_pages(store: OutputStore) -> None:
    text = "".join(f"line {number}: größe 😀\n" for number in range(20_000))
    execution = uuid4()
    recording = store.begin("alice", execution)
    for start in range(0, len(text), 7_001):
        await recording.add(text[start : start + 7_001])
    stored = await recording.end(keep=True)
    data = text.encode()
    assert (stored.size, stored.sha256, stored.whole) == (len(data), hashlib.sha256(data).hexdigest(), True)
    assert stored.size > BLOCK_BYTES
    read, offset = "", 0
    while True:
        page = await store.page("alice", execution, offset, 65_537)
        assert page is not None
        read += page.text
        if page.next_offset is None:
            break
        offset = page.next_offset
    assert read == text


async def test_another_owner_finds_nothing(store: OutputStore) -> None:
    execution = uuid4()
    recording = store.begin("alice", execution)
    await recording.add("hers")
    await recording.end(keep=True)
    assert await store.page("bob", execution, 0, 100) is None
    assert await store.page("alice", uuid4(), 0, 100) is None


async def test_output_that_is_not_kept_makes_no_file(store: OutputStore, tmp_path: Path) -> None:
    recording = store.begin("alice", uuid4())
    await recording.add("short")
    assert (await recording.end(keep=False)).whole
    assert not (tmp_path / "outputs").exists()


async def test_output_beyond_the_bound_is_dropped_and_reported(tmp_path: Path) -> None:
    store, execution = OutputStore(tmp_path, 1_000), uuid4()
    recording = store.begin("alice", execution)
    for _ in range(10):
        await recording.add("x" * 300)
    stored = await recording.end(keep=True)
    assert (stored.size, stored.whole) == (3_000, False)
    page = await store.page("alice", execution, 0, 10_000)
    assert page is not None
    assert page.size == 1_000


async def test_failing_disk_does_not_fail_the_tool(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file where the folder should be")
    recording = OutputStore(tmp_path / "outputs", 1_000).begin("alice", uuid4())
    await recording.add("said")
    assert not (await recording.end(keep=True)).whole


async def test_files_are_readable_only_by_their_owner(store: OutputStore, tmp_path: Path) -> None:
    recording = store.begin("alice", uuid4())
    await recording.add("said")
    await recording.end(keep=True)
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_pages_are_split_between_characters(limit: int) -> None:
    text, read, offset = "aé😀b", "", 0
    while True:
        page = page_of(text, offset, limit)
        read += page.text
        if page.next_offset is None:
            break
        assert page.next_offset > offset
        offset = page.next_offset
    assert read == text


def test_page_past_the_end_is_empty() -> None:
    assert page_of("abc", 9, 10) == OutputPage(text="", offset=9, size=3, next_offset=None)
