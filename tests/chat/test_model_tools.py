"""Tool calls of a model, from a service on a real socket through the whole service to real files and processes."""

import json
import os
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chat.providers.base import Timeouts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from tests.chat.providers.fake_openai import DONE, call, finish, said, streamed
from tests.conftest import Start
from tests.fake_service import FakeService, Reply, fake_service
from tools.resources import workspaces

TIMEOUTS = Timeouts(connect=5, first_byte=5, idle=5)
FOLDER = "model-tools"
CANARY = "the-canary-outside"


class Bad(msgspec.Struct, frozen=True):
    """A call that must fail: the tool's wire name, its arguments, and the expected error."""

    name: str
    arguments: str
    code: str
    error: str


def calling(name: str, arguments: str) -> Reply:
    return streamed(call(0, call_id="c1", name=name, arguments=arguments), finish("tool_calls"), DONE)


def saying(text: str) -> Reply:
    return streamed(said(text), finish(), DONE)


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as service:
        yield service


@pytest.fixture
def openai(fake: FakeService) -> OpenAI:
    return OpenAI(Endpoint(name="openai", base_url=f"{fake.url}/v1", api_key="k", default_model="gpt-x"), TIMEOUTS)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Create files that no tool may use, each for its own reason."""
    made = workspaces().root.base / FOLDER
    made.mkdir()
    (made / "notes.txt").write_text("plover\n")
    (made / ".env").write_text(CANARY)
    outside = workspaces().root.base.parent / "outside.txt"
    outside.write_text(CANARY)
    os.mkfifo(made / "pipe")
    (made / "dangling").symlink_to("nowhere")
    (made / "absolute").symlink_to(outside)
    (made / "escape").symlink_to("../../outside.txt")
    with (made / "sparse").open("wb") as sparse:
        sparse.truncate(10 * 2**30)
    with (made / "endless").open("wb") as endless:
        endless.write(b"x" * (20 * 2**20))
    yield made
    # A process can leave this module and come back to it, and then makes the folder again.
    shutil.rmtree(made)


async def test_model_reads_writes_searches_patches_and_runs_commands(
    start: Start, fake: FakeService, openai: OpenAI, folder: Path
) -> None:
    patch = f"*** Begin Patch\n*** Update File: {FOLDER}/made.txt\n@@\n-one\n+two\n*** End Patch"
    asked = [
        ("fs_read", {"path": f"{FOLDER}/notes.txt"}),
        ("fs_write", {"path": f"{FOLDER}/made.txt", "content": "one\n"}),
        ("fs_apply_patch", {"patch": patch}),
        ("terminal_exec", {"command": f"cat {FOLDER}/made.txt"}),
    ]
    fake.play(*(calling(name, json.dumps(params)) for name, params in asked), saying("Done."))
    api = await start(openai)
    answer = await api.ask(message="work", tools=["fs.*", "terminal.*"])
    results = [event["data"] for event in answer.events if event["type"] == "tool_result"]
    assert [results[0]["content"], results[3]["stdout"]] == ["plover\n", "two\n"]
    assert (folder / "made.txt").read_text() == "two\n"
    assert answer.text == "Done."
    assert "plover" in str(fake.requests[1].body["messages"][-1])


BAD = [
    Bad("fs_read", "{}", "invalid_params", "missing required field `path`"),
    Bad("fs_read", '{"path": 1}', "invalid_params", "Expected `str`"),
    Bad("fs_read", '{"path": "a", "mode": "r"}', "invalid_params", "unknown field `mode`"),
    Bad("fs_read", '{"path": "a"', "invalid_params", "not a JSON object"),
    Bad("fs_read", '{"path": "../../etc/passwd"}', "outside_workspace", "relative to it"),
    Bad("fs_read", '{"path": "/etc/passwd"}', "outside_workspace", "relative to it"),
    Bad("fs_read", f'{{"path": "{FOLDER}/pipe"}}', "not_allowed", "regular"),
    Bad("fs_read", f'{{"path": "{FOLDER}"}}', "not_allowed", "is a folder"),
    Bad("fs_read", f'{{"path": "{FOLDER}/dangling"}}', "not_found", ""),
    Bad("fs_read", f'{{"path": "{FOLDER}/absolute"}}', "outside_workspace", "absolute"),
    Bad("fs_read", f'{{"path": "{FOLDER}/escape"}}', "outside_workspace", ""),
    Bad("fs_read", f'{{"path": "{FOLDER}/.env"}}', "not_allowed", "secret"),
    Bad("fs_read", f'{{"path": "{FOLDER}/.git/config"}}', "not_allowed", "git"),
    Bad("fs_read", '{"path": "a\\u0000b"}', "invalid_params", "NUL"),
    Bad("fs_read", '{"path": "a\\ud800b"}', "invalid_params", ""),
    Bad("fs_write", f'{{"path": "{FOLDER}/pipe", "content": "x"}}', "not_allowed", ""),
    Bad("terminal_exec", '{"command": "ls | sh"}', "not_allowed", "|"),
    Bad("terminal_exec", '{"command": "ls $(id)"}', "not_allowed", "$"),
    Bad("terminal_exec", '{"command": "find . -delete"}', "not_allowed", "-delete"),
    Bad("terminal_exec", '{"command": "bash -c id"}', "not_allowed", "bash"),
    Bad("terminal_exec", f'{{"command": "cat {FOLDER}/.env"}}', "not_allowed", ""),
    Bad("terminal_exec", '{"command": "cat /etc/hostname"}', "outside_workspace", ""),
    Bad("terminal_exec", "{}", "invalid_params", ""),
    Bad("git_log", '{"ref": "--output=x"}', "invalid_params", ""),
    Bad("fs_shred", "{}", "unknown_tool", "there are fs.read"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.name} {bad.arguments[:40]}")
async def test_invalid_call_is_reported_and_the_run_continues(
    start: Start, fake: FakeService, openai: OpenAI, folder: Path, bad: Bad
) -> None:
    fake.play(calling(bad.name, bad.arguments), saying("I see."))
    api = await start(openai)
    await api.service.warm_up()  # As before a first request: the prices take 70 MB once.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await api.ask(message="try")
    failed = answer.one("tool_error")
    assert failed["code"] == bad.code, failed
    assert bad.error in failed["error"]
    assert answer.events[-1]["reason"] == "completed"
    assert answer.text == "I see."
    assert CANARY.encode() not in answer.body
    assert CANARY not in str(fake.requests[1].body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1_024


@pytest.mark.parametrize(
    "asked",
    [
        ("fs_read", {"path": f"{FOLDER}/sparse", "limit": 1}),
        ("fs_read", {"path": f"{FOLDER}/endless"}),
        ("fs_search", {"path": FOLDER, "pattern": "plover"}),
        ("terminal_exec", {"command": f"head -c 100 {FOLDER}/sparse"}),
    ],
)
async def test_huge_files_cost_little_memory(
    start: Start, fake: FakeService, openai: OpenAI, folder: Path, asked: tuple[str, dict[str, Any]]
) -> None:
    name, params = asked
    fake.play(calling(name, json.dumps(params)), saying("I see."))
    api = await start(openai)
    await api.service.warm_up()  # As before a first request: the prices take 70 MB once.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await api.ask(message="try")
    assert answer.events[-1]["reason"] == "completed"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1_024
