"""The files of a workspace over HTTP.

Covers `chat.api.files.workspace_schemas` and `web.file_response`.
"""

import io
import shutil
import tarfile
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from chat.providers.scripted import Scripted
from tests.access.conftest import Holder, MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tests.streams import Answer
from tools import conf
from tools.policy import parse
from tools.resources import workspaces
from tools.workspace.quota import Quota

FILES = "/workspace/files"
ARCHIVE = "/workspace/archive"


@pytest.fixture(autouse=True)
def own_folder() -> Iterator[None]:
    yield
    shutil.rmtree(workspaces().folder, ignore_errors=True)


@pytest.fixture
async def api(start: Start) -> Api:
    return await start(Scripted())


async def send(api: Api, holder: Holder, method: str, path: str, data: bytes | None = None, **headers: str) -> Answer:
    """Send a request; an underscore in a header's name is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.call(method, path, data=data, headers={**holder.headers, **named})


async def test_scopes_and_owners_are_kept_apart(api: Api, make_key: MakeKey) -> None:
    alice, bob = (
        await make_key("alice", "files.read", "files.write"),
        await make_key("bob", "files.read", "files.write"),
    )
    reader, chats = await make_key("reader", "files.read"), await make_key("chats", "chat", "fs.*")
    assert (await send(api, alice, "PUT", f"{FILES}/a.txt", b"plover")).status == 201
    for method, path in (("GET", f"{FILES}/a.txt"), ("DELETE", f"{FILES}/a.txt"), ("GET", f"{ARCHIVE}?path=a.txt")):
        assert (await send(api, bob, method, path)).status == 404, (method, path)
        assert (await send(api, chats, method, path)).status == 403
    assert (await send(api, bob, "GET", FILES)).json()["items"] == []
    assert (await send(api, reader, "PUT", f"{FILES}/b.txt", b"x")).status == 403
    assert (await send(api, alice, "GET", f"{FILES}?session_id={uuid4()}")).status == 404
    assert (await send(api, alice, "GET", f"{FILES}/a.txt")).body == b"plover"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("%2e%2e/a.txt", 404),
        ("..%2fa.txt", 404),
        ("/etc/passwd", 404),
        ("%2Fetc%2Fpasswd", 404),
        (".git/config", 403),
        (".env", 403),
        (".workspaces/x", 403),
        ("folder", 403),
        ("n" * 300, 422),
        ("a%00b", 400),
        ("missing.txt", 404),
        ("link/passwd", 404),
    ],
)
async def test_path_that_no_tool_opens_is_refused(api: Api, make_key: MakeKey, path: str, status: int) -> None:
    alice = await make_key("alice", "files.read", "files.write")
    base = workspaces().at(alice.owner).base
    (base / "folder").mkdir()
    (base / "link").symlink_to("/etc")
    before = sorted(base.rglob("*"))
    assert (await send(api, alice, "GET", f"{FILES}/{path}")).status == status
    for method, body in (("PUT", b"x"), ("DELETE", None)):
        if path != "missing.txt":
            assert (await send(api, alice, method, f"{FILES}/{path}", body)).status >= 400
    assert sorted(base.rglob("*")) == before


async def test_conditions_protect_the_work_of_others(api: Api, make_key: MakeKey) -> None:
    alice = await make_key("alice", "files.read", "files.write")
    path = f"{FILES}/notes/a.txt"
    made = await send(api, alice, "PUT", path, b"one", If_None_Match="*")
    assert (made.status, made.json()["created"], made.json()["size"]) == (201, True, 3)
    first = made.headers["ETag"]
    assert (await send(api, alice, "PUT", path, b"again", If_None_Match="*")).status == 412
    assert (await send(api, alice, "GET", path, If_None_Match=first)).status == 304
    second = await send(api, alice, "PUT", path, b"two", If_Match=first)
    assert (second.status, second.json()["created"]) == (200, False)
    for method in ("PUT", "DELETE", "GET"):
        refused = await send(api, alice, method, path, b"lost" if method == "PUT" else None, If_Match=first)
        assert (refused.status, refused.json()["code"]) == (412, "precondition_failed"), method
    assert (await send(api, alice, "PUT", f"{FILES}/new.txt", b"x", If_Match="*")).status == 412
    assert (await send(api, alice, "GET", path)).body == b"two"
    assert (await send(api, alice, "DELETE", path, If_Match=f'"other", {second.headers["ETag"]}')).status == 204
    assert (await send(api, alice, "GET", path)).status == 404


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=0-2", 206, b"012"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=-99", 200, b"0123456789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=10-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=5-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("lines=0-1", 200, b"0123456789"),
        ("bytes=0-" + "9" * 19, 200, b"0123456789"),
    ],
)
async def test_ranges_are_as_rfc_9110_has_them(
    api: Api, make_key: MakeKey, asked: str, status: int, body: bytes
) -> None:
    alice = await make_key("alice", "files.read", "files.write")
    workspaces().at(alice.owner).write("a.bin", b"0123456789")
    answer = await send(api, alice, "GET", f"{FILES}/a.bin", Range=asked)
    assert answer.status == status
    if status != 416:
        assert (answer.body, answer.headers["Content-Length"]) == (body, str(len(body)))
    else:
        assert answer.headers["Content-Range"] == "bytes */10"
    old = await send(api, alice, "GET", f"{FILES}/a.bin", Range=asked, If_Range='"another"')
    assert old.status == 200


async def test_no_browser_runs_a_file(api: Api, make_key: MakeKey) -> None:
    alice = await make_key("alice", "files.read", "files.write")
    kinds = {"a.html": "text/plain", "a.svg": "application/octet-stream", "a.png": "image/png", "a.js": "text/plain"}
    for name, kind in kinds.items():
        workspaces().at(alice.owner).write(name, b"<script>alert(1)</script>")
        answer = await send(api, alice, "GET", f"{FILES}/{name}")
        assert answer.headers["Content-Type"].startswith(kind), name
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_policy_holds_for_each_file(api: Api, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await make_key("alice", "files.read", "files.write")
    files = workspaces().at(alice.owner)
    for name in ("open.txt", "secrets/a.txt", "asked/a.txt"):
        files.write(name, b"plover")
    (files.base / "link.txt").symlink_to("secrets/a.txt")
    monkeypatch.setattr(conf, "policy", lambda: parse("deny fs.* path=secrets/*; ask fs.* path=asked/*"))
    for name in ("secrets/a.txt", "asked/a.txt", "link.txt"):
        assert (await send(api, alice, "GET", f"{FILES}/{name}")).status == 403, name
        assert (await send(api, alice, "PUT", f"{FILES}/{name}", b"x")).status == 403, name
    listed = (await send(api, alice, "GET", f"{FILES}?recursive=true")).json()["items"]
    assert {item["path"] for item in listed if item["type"] == "file"} == {"open.txt"}
    packed = (await send(api, alice, "GET", ARCHIVE)).body
    with tarfile.open(fileobj=io.BytesIO(packed)) as found:
        assert found.getnames() == ["open.txt"]
    assert (await send(api, alice, "POST", ARCHIVE, packed_of("secrets/b.txt"))).status == 403


def packed_of(*names: str, data: bytes = b"x") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return file.getvalue()


async def test_archive_is_uploaded_and_downloaded(api: Api, make_key: MakeKey) -> None:
    alice = await make_key("alice", "files.read", "files.write")
    done = await send(api, alice, "POST", f"{ARCHIVE}?path=in", packed_of("a.txt", "b/c.txt"))
    assert done.json() == {"files": 2, "created": 2, "bytes": 2}
    answer = await send(api, alice, "GET", f"{ARCHIVE}?path=in")
    assert answer.headers["Content-Type"] == "application/gzip"
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as found:
        assert sorted(found.getnames()) == ["a.txt", "b/c.txt"]
    for bad in (b"", b"no archive", packed_of("../out.txt")):
        refused = await send(api, alice, "POST", ARCHIVE, bad)
        assert (refused.status, refused.json()["code"]) == (422, "invalid_archive"), refused.body


async def test_full_workspace_is_507(api: Api, make_key: MakeKey) -> None:
    alice = await make_key("alice", "files.read", "files.write", "chat", "fs.*")
    files = workspaces().at(alice.owner)
    files.quota = Quota(files.base, max_bytes=10, max_files=5)
    for refused in (
        await send(api, alice, "PUT", f"{FILES}/a.txt", b"x" * 11),
        await send(api, alice, "POST", ARCHIVE, packed_of("a.txt", data=b"x" * 11)),
    ):
        assert (refused.status, refused.json()["code"]) == (507, "workspace_full")
    call: dict[str, Any] = {"name": "fs.write", "params": {"path": "a.txt", "content": "x" * 11}}
    answer = await api.call("POST", "/chat/stream", json={"tool_calls": [call]}, headers=alice.headers)
    assert answer.one("tool_error")["code"] == "workspace_full"
    assert list(files.base.iterdir()) == []
