"""`fs.write`, and the registration of the four file tools."""

import base64
import hashlib
from pathlib import Path
from unittest.mock import AsyncMock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spending.accounts import Payer
from tools.base import Execution, Tool, ToolError
from tools.builtin import fs
from tools.output.masking import MASK
from tools.workspace import Limits, Workspace


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("content", ["a", "a===", "é", "a b=", "YQ==\n", "\ud800"])
async def test_invalid_base64_is_rejected(content: str, workspace: Workspace) -> None:
    with pytest.raises(ToolError) as refusal:
        await fs.write(workspace, path="a", content=content, encoding="base64")
    assert refusal.value.code == "invalid_params"
    assert (await fs.list_(workspace)).entries == []


async def test_content_with_a_lone_surrogate_is_rejected(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match="lone surrogate") as refusal:
        await fs.write(workspace, path="a", content="\udcff")
    assert refusal.value.code == "invalid_params"


async def test_new_file_cannot_have_expected_content(workspace: Workspace) -> None:
    with pytest.raises(ToolError) as refusal:
        await fs.write(workspace, path="a", content="", create_only=True, expected_sha256=sha256(b""))
    assert refusal.value.code == "invalid_params"


async def test_write_over_an_unread_change_is_a_conflict(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    read = await fs.read(workspace, path="a")
    (tmp_path / "a").write_bytes(b"two")
    with pytest.raises(ToolError) as refusal:
        await fs.write(workspace, path="a", content="mine", expected_sha256=read.sha256)
    assert refusal.value.code == "conflict"
    assert (tmp_path / "a").read_bytes() == b"two"


async def test_content_over_the_limit_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as refusal:
        await fs.write(Workspace(tmp_path, limits=Limits(max_write_bytes=2)), path="a", content="éé")
    assert refusal.value.code == "too_large"


async def test_text_is_written_unchanged(workspace: Workspace, tmp_path: Path) -> None:
    content = "\ufeffone\r\ntwo\rthré"
    result = await fs.write(workspace, path="x/a", content=content)
    data = content.encode()
    assert result == fs.WriteResult(path="x/a", size=len(data), sha256=sha256(data), created=True)
    assert (tmp_path / "x/a").read_bytes() == data
    again = await fs.write(workspace, path="x/a", content="", expected_sha256=sha256(data))
    assert (again.created, again.size) == (False, 0)


@settings(deadline=None)
@given(data=st.binary(max_size=2000).filter(lambda data: MASK.encode() not in data))
async def test_written_content_is_read_back(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("base"))
    written = await fs.write(workspace, path="a", content=base64.b64encode(data).decode(), encoding="base64")
    read = await fs.read(workspace, path="a")
    await fs.write(workspace, path="b", content=read.content, encoding=read.encoding)
    assert workspace.read_bytes("b") == data
    workspace.close()
    assert (read.size, read.sha256) == (written.size, written.sha256)


def tool_of(workspace: Workspace, name: str) -> Tool:
    return next(tool for tool in fs.tools(workspace) if tool.name == name)


def test_tools_have_the_names_effects_and_params_of_the_protocol(workspace: Workspace) -> None:
    described = {tool.name: (tool.effect, list(tool.spec.parameters["properties"])) for tool in fs.tools(workspace)}
    assert described == {
        "fs.read": ("read", ["path", "offset", "limit"]),
        "fs.list": ("read", ["path", "recursive", "glob", "ignored"]),
        "fs.search": ("read", ["pattern", "path", "glob", "ignore_case", "ignored"]),
        "fs.write": ("write", ["path", "content", "encoding", "create_only", "expected_sha256"]),
    }
    assert tool_of(workspace, "fs.read").spec.parameters["required"] == ["path"]
    assert all(tool.spec.description for tool in fs.tools(workspace))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("fs.read", {}),
        ("fs.read", {"path": 1}),
        ("fs.read", {"path": "a", "offset": 0}),
        ("fs.read", {"path": "a", "limit": 0}),
        ("fs.read", {"path": "a", "limit": "5"}),
        ("fs.read", {"path": "a", "more": True}),
        ("fs.list", {"glob": ""}),
        ("fs.search", {}),
        ("fs.search", {"pattern": ""}),
        ("fs.search", {"pattern": "x" * 1001}),
        ("fs.write", {"path": "a"}),
        ("fs.write", {"path": "a", "content": "", "encoding": "latin-1"}),
        ("fs.write", {"path": "a", "content": "", "expected_sha256": "123"}),
        ("fs.write", {"path": "a", "content": "", "expected_sha256": "0" * 64 + "\n"}),
    ],
)
def test_params_that_violate_the_schema_are_rejected(
    name: str, params: dict[str, object], workspace: Workspace
) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, tool_of(workspace, name).params)


async def test_tool_runs_with_its_params_and_returns_json(workspace: Workspace) -> None:
    write = tool_of(workspace, "fs.write")
    params = msgspec.json.decode(b'{"path": "a", "content": "x"}', type=write.params)
    result = await write.run(params, Execution(payer=Payer(owner="alice"), emit=AsyncMock()))
    assert msgspec.to_builtins(result) == {"path": "a", "size": 1, "sha256": sha256(b"x"), "created": True}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "windows-1252"])
async def test_text_in_another_encoding_is_read_searched_and_written(
    encoding: fs.Encoding, workspace: Workspace, tmp_path: Path
) -> None:
    text = "hello w\u00f6rld\r\nand a second line\r\n"
    mark = {"utf-16": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    data = mark + text.encode("utf-16-le" if encoding == "utf-16" else encoding)
    (tmp_path / "a").write_bytes(data)
    read = await fs.read(workspace, path="a")
    assert (read.content, read.encoding, read.size) == (text, encoding, len(data))
    assert (await fs.read(workspace, path="a", offset=2)).content == "and a second line\r\n"
    found = await fs.search(workspace, pattern="^and a .* line$")
    assert [(match.path, match.line) for match in found.matches] == [("a", 2)]
    await fs.write(workspace, path="b", content=read.content, encoding=read.encoding)
    assert (tmp_path / "b").read_bytes() == data


async def test_character_that_the_encoding_lacks_is_rejected(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match="windows-1252") as refusal:
        await fs.write(workspace, path="a", content="\u65e5", encoding="windows-1252")
    assert refusal.value.code == "invalid_params"


async def test_mask_of_a_secret_is_not_written_in_its_place(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "config.txt").write_text("password = hunter2\n")
    for path, content in (("config.txt", "password = [secret]\n"), ("new.txt", "[secret]")):
        with pytest.raises(ToolError, match="stands for a secret") as refusal:
            await fs.write(workspace, path=path, content=content)
        assert refusal.value.code == "invalid_params"
    (tmp_path / "doc.md").write_text("Secrets become [secret].\n")
    await fs.write(workspace, path="doc.md", content="Secrets are shown as [secret].\n")
    assert not (tmp_path / "new.txt").exists()
