"""Archives of workspaces: hostile ones first.

Covers `tools.workspaces.archive_format` and `tools.workspace.quota`.
"""

import gzip
import io
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tools.base import ToolError
from tools.workspace import Workspace
from tools.workspace.quota import Quota, Usage, usage_of
from tools.workspaces import archive
from tools.workspaces.archive import pack, unpack
from tools.workspaces.archive_format import BadArchive, header


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "files").mkdir()
    made = Workspace(tmp_path / "files")
    yield made
    made.close()


def tar(
    *names: str, kind: bytes = tarfile.REGTYPE, mode: Literal["w", "w:gz"] = "w:gz", data: bytes = b"x", **fields: Any
) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=fields.pop("format", tarfile.PAX_FORMAT)) as made:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            for field, value in fields.items():
                setattr(info, field, value)
            made.addfile(info, io.BytesIO(data))
    return file.getvalue()


def with_header(**fields: Any) -> bytes:
    """Return an archive with a valid file, and behind it one whose header was changed."""
    good, changed = tar("good.txt", mode="w")[:1024], bytearray(tar("bad.txt", mode="w")[:1024])
    for at, value in ((int(name[1:]), value) for name, value in fields.items()):
        changed[at : at + len(value)] = value
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed[:512])
    return good + bytes(changed) + b"\0" * 1024


def pax(**records: str) -> bytes:
    """Return an archive with an extended header in front of its file."""
    return tar("a.txt", pax_headers=records, mode="w")


def all_contents(workspace: Workspace) -> dict[str, str]:
    return {
        str(path.relative_to(workspace.base)): path.read_text() for path in workspace.base.rglob("*") if path.is_file()
    }


HOSTILE: dict[str, Callable[[], bytes]] = {
    "leads out": lambda: tar("good.txt", "../out.txt"),
    "leads out in the middle": lambda: tar("good.txt", "a/../../out.txt"),
    "absolute": lambda: tar("good.txt", "/tmp/out.txt"),
    "absolute by its extended header": lambda: pax(path="/etc/out.txt"),
    "leads out by its extended header": lambda: pax(path="../out.txt"),
    "backslashes": lambda: tar("good.txt", "..\\out.txt"),
    "a link": lambda: tar("good.txt", "link", kind=tarfile.SYMTYPE, linkname="/etc"),
    "a hard link": lambda: tar("link", kind=tarfile.LNKTYPE, linkname="good.txt"),
    "a device": lambda: tar("null", kind=tarfile.CHRTYPE),
    "a block device": lambda: tar("disk", kind=tarfile.BLKTYPE),
    "a pipe": lambda: tar("pipe", kind=tarfile.FIFOTYPE),
    "an unknown kind": lambda: with_header(f156=b"V"),
    "sparse": lambda: with_header(f156=b"S"),
    "sparse in an extended header": lambda: pax(**{"GNU.sparse.major": "1", "GNU.sparse.realsize": "9" * 12}),
    "a secret": lambda: tar("good.txt", ".env"),
    "git's folder": lambda: tar("good.txt", ".git/hooks/pre-commit"),
    "git's folder in other letters": lambda: tar("good.txt", "a/.GIT/config"),
    "the folder of workspaces": lambda: tar("good.txt", ".workspaces/user-1/a.txt"),
    "the same file twice": lambda: tar("good.txt", "./good.txt"),
    "a file and a folder": lambda: tar("good.txt", "good.txt/inside.txt"),
    "a folder that is a file here": lambda: tar("good.txt", "here.txt/inside.txt"),
    "a name of 300 bytes": lambda: tar("good.txt", "n" * 300),
    "a deep path": lambda: tar("good.txt", "d/" * 200 + "f"),
    "a name that is not UTF-8": lambda: tar("good.txt", mode="w").replace(b"good.txt", b"go\xffd.txt"),
    "a negative size": lambda: with_header(f124=b"-0000000001\0"),
    "a size in GNU's binary form": lambda: with_header(f124=b"\x80" + b"\0" * 10 + b"\x05"),
    "a size beyond the end": lambda: with_header(f124=b"77777777777\0"),
    "an extended size beyond the end": lambda: pax(size="9" * 15),
    "an extended size that is no number": lambda: pax(size="-5"),
    "an endless extended header": lambda: with_header(f156=b"x", f124=b"77777777777\0"),
    "an endless long name": lambda: with_header(f156=b"L", f124=b"77777777777\0"),
    "a damaged extended header": lambda: with_header(f156=b"x", f512=b"99 path=a\n"),
    "a wrong checksum": lambda: tar("good.txt", mode="w").replace(b"good.txt", b"gold.txt", 1),
    "nothing": lambda: b"",
    "no files": lambda: tar("folder", kind=tarfile.DIRTYPE),
    "only zeros": lambda: b"\0" * 10_240,
    "no archive": lambda: b"PK\x03\x04" + b"zip" * 500,
    "text": lambda: b"hello " * 500,
    "cut gzip": lambda: tar("good.txt", data=b"0123456789" * 999)[:-9],
    "damaged gzip": lambda: tar("good.txt")[:30] + b"\xff" * 20,
    "gzip without an archive": lambda: gzip.compress(b"hello"),
    "cut tar": lambda: tar("good.txt", "b.txt", mode="w", data=b"y" * 600)[:1_100],
    "too large a file": lambda: tar("good.txt", "big.bin", data=b"\0" * (4 * 2**20 + 1)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_archive_changes_nothing(workspace: Workspace, name: str, tmp_path: Path) -> None:
    (workspace.base / "here.txt").write_text("here")
    with pytest.raises((BadArchive, ToolError)):
        unpack(workspace, HOSTILE[name](), ".")
    assert all_contents(workspace) == {"here.txt": "here"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files"]


def bomb(block: bytes, count: int) -> bytes:
    packing = zlib.compressobj(9, wbits=31)
    return b"".join(packing.compress(block) for _ in range(count)) + packing.flush()


def test_bombs_end_in_little_memory(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 16 * 2**20)
    monkeypatch.setattr(archive, "MAX_ENTRIES", 5_000)
    zeros = b"\0" * 2**20
    folder = tar("n", mode="w", kind=tarfile.DIRTYPE)[:512]
    bombs = {
        "one huge file": header("huge.bin", 2**32, 0, executable=False) + zeros,
        "many bytes": bomb(tar("a.txt", mode="w", data=zeros)[: 512 + 2**20], 20),
        "many entries": bomb(folder * 1_000, 6),
        "zeros behind": tar("a.txt", mode="w")[:1024] + b"\0" * 1024 + zeros * 16,
    }
    tracemalloc.start()
    for name, data in bombs.items():
        with pytest.raises((BadArchive, ToolError)):
            unpack(workspace, data, ".")
        assert tracemalloc.get_traced_memory()[1] < 24 * 2**20, name
    tracemalloc.stop()
    assert all_contents(workspace) == {}


def test_failure_halfway_restores_everything(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK_FILES", 1)
    (workspace.base / "a.txt").write_text("a before")
    made: list[str] = []
    apply = Workspace.apply

    def fail_at_the_third(self: Workspace, changes: Any, *rest: Any) -> Any:
        if [change.path for change in changes] == ["d.txt"]:
            raise ToolError("The disk is full.", code="failed")
        made.extend(change.path for change in changes)
        return apply(self, changes, *rest)

    monkeypatch.setattr(Workspace, "apply", fail_at_the_third)
    with pytest.raises(ToolError, match="disk is full"):
        unpack(workspace, tar("a.txt", "b/c.txt", "d.txt"), ".")
    assert {"a.txt", "b/c.txt"} <= set(made)
    assert all_contents(workspace) == {"a.txt": "a before"}


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archives_of_common_programs_are_taken(workspace: Workspace, kind: int, mode: Literal["w", "w:gz"]) -> None:
    long_name = "/".join(["folder"] * 20) + "/" + "n" * 80 + ".txt"
    names = ["./a.txt", "b/ü.txt", *([long_name] if kind != tarfile.USTAR_FORMAT else [])]
    done = unpack(workspace, tar(*names, format=kind, mode=mode), "into")
    assert (done.files, done.created, done.bytes) == (len(names), len(names), len(names))
    assert set(all_contents(workspace)) == {f"into/{name.removeprefix('./')}" for name in names}


def test_packed_workspace_is_the_same_after_it_is_unpacked(workspace: Workspace, tmp_path: Path) -> None:
    files = {"a.txt": "a", "deep/er/run.sh": "#!/bin/sh", "big.txt": "line\n" * 100_000, "empty": "", ".gitignore": "x"}
    for name, text in {**files, ".env": "SECRET=1", "x": "ignored", ".git/config": "[core]"}.items():
        path = workspace.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (workspace.base / "deep/er/run.sh").chmod(0o755)
    (workspace.base / "out").symlink_to("/etc")
    data = b"".join(pack(workspace, "."))
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        assert sorted(found.getnames()) == sorted([*files, "x"])
    (tmp_path / "other").mkdir()
    other = Workspace(tmp_path / "other")
    unpack(other, data, ".")
    assert all_contents(other) == {**files, "x": "ignored"}
    assert (other.base / "deep/er/run.sh").stat().st_mode & 0o100
    other.close()


def test_quota_counts_changes_and_what_others_wrote(workspace: Workspace) -> None:
    now = 0.0
    workspace.quota = Quota(workspace.base, max_bytes=100, max_files=3, clock=lambda: now)
    workspace.write("a.txt", b"x" * 60)
    for path, size in (("a.txt", 101), ("b.txt", 41)):
        with pytest.raises(ToolError, match="WORKSPACE_MAX_BYTES") as full:
            workspace.write(path, b"x" * size)
        assert full.value.code == "workspace_full"
    workspace.write("a.txt", b"x" * 100)
    workspace.write("a.txt", b"")
    for number in range(2):
        workspace.write(f"{number}.txt", b"")
    with pytest.raises(ToolError, match="WORKSPACE_MAX_FILES"):
        workspace.write("more.txt", b"")
    (workspace.base / "1.txt").unlink()
    workspace.write("more.txt", b"")
    (workspace.base / "0.txt").write_bytes(b"x" * 99)
    now = 61.0
    with pytest.raises(ToolError, match="99 of 100 bytes"):
        workspace.write("a.txt", b"xx")
    assert usage_of(workspace.base) == Usage(files=3, bytes=99)
    with pytest.raises(ToolError, match="WORKSPACE_MAX"):
        unpack(workspace, tar("c.txt", "d.txt"), ".")
