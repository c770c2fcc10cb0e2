"""Pictures of a message that lie in the workspace: scope, policy, and a row, as for any `fs.read`."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey, make_key
from tests.conftest import Api, Start
from tests.streams import Answer
from tools import conf
from tools.models import ToolExecution

__all__ = ("make_key",)

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
DENY = "deny fs.* path=pictures/private/*"


@pytest.fixture(autouse=True)
def pictures() -> Iterator[None]:
    folder = conf.workspace_base() / "pictures"
    (folder / "private").mkdir(parents=True, exist_ok=True)
    (folder / "plan.png").write_bytes(PNG)
    (folder / "private" / "plan.png").write_bytes(PNG)
    (folder / "link.png").symlink_to("private/plan.png")
    (folder / "note.png").write_text("no picture")
    yield
    (folder / "link.png").unlink()


async def ask(api: Api, path: str, **options: Any) -> Answer:
    body = {"message": "What is it?", "attachments": [{"path": path}]}
    return await api.call("POST", "/chat/stream", json=body, **options)


async def test_picture_of_the_workspace_is_a_recorded_read(start: Start) -> None:
    model = Scripted([text("A plan."), Finished(reason="stop")])
    answer = await ask(await start(model), "pictures/plan.png")
    row = await ToolExecution.objects.aget()
    assert answer.one("end")["reason"] == "completed"
    assert model.requests[0].messages[0].images[0].data == PNG
    assert (row.tool, row.source, row.status, row.params) == (
        "fs.read",
        "caller",
        "succeeded",
        {"path": "pictures/plan.png"},
    )
    assert row.data["size"] == len(PNG)


@pytest.mark.parametrize("policy", [DENY, "ask fs.read path=pictures/private/*"])
@pytest.mark.parametrize(
    "path",
    [
        "pictures/private/plan.png",
        "pictures/private/missing.png",
        "pictures/link.png",
        "pictures/../pictures/private/plan.png",
    ],
)
async def test_denied_picture_is_403_whether_it_exists_or_not(start: Start, policy: str, path: str) -> None:
    answer = await ask(await start(Scripted(), policy=policy), path)
    row = await ToolExecution.objects.aget()
    assert (answer.status, answer.json()["code"]) == (403, "denied")
    assert "does not exist" not in answer.json()["error"]
    assert (row.tool, row.code) == ("fs.read", "denied")


@pytest.mark.parametrize("path", ["pictures/plan.png", "pictures/missing.png", "pictures/note.png", ".env"])
async def test_key_without_the_scope_learns_nothing_about_files(start: Start, make_key: MakeKey, path: str) -> None:
    alice = await make_key("alice", "chat", "fs.list")
    answer = await ask(await start(Scripted()), path, headers=alice.headers)
    assert (answer.status, answer.json()["code"]) == (403, "denied")
    assert answer.json()["error"].endswith("The caller's key does not have the scope fs.read.")


async def test_picture_is_read_without_storage(start: Start) -> None:
    model = Scripted([text("A plan."), Finished(reason="stop")])
    answer = await ask(await start(model, stored=False), "pictures/plan.png")
    assert (answer.status, model.requests[0].messages[0].images[0].data) == (200, PNG)
