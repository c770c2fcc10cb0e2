"""Clients that are generated from the service's own document: typed in TypeScript, and used in Python."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

import pytest

from chat.engine.model_port import Finished, TokensUsed
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.clients.conftest import MODULES, npm
from tests.conftest import Start

pytestmark = pytest.mark.slow

STOP: Final = Finished(reason="stop")
ANSWER: Final = [text("Seven", " files."), TokensUsed(input_tokens=7, output_tokens=2), STOP]
USE: Final = """\
import type { components, paths } from "./service";

type RunEvent = components["schemas"]["RunEvent"];
type Body = paths["/chat/stream"]["post"]["requestBody"]["content"]["application/json"];

export const body: Body = { message: "Hi" };

export function shown(event: RunEvent): string {
  switch (event.type) {
    case "token":
      return event.token;
    case "tool_error":
      return `${event.tool}: ${event.code}`;
    case "end":
      return event.reason;
    default:
      return "";
  }
}
"""
WRONG: Final = """\
import type { components } from "./service";

export const event: components["schemas"]["RunEvent"] = { type: "token", text: "x" };
"""
PROGRAM: Final = """\
import sys
from client.api.chat import get_run, list_sessions, start_run
from client.client import AuthenticatedClient
from client.models import ChatIn

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
answer = start_run.sync(client=client, body=ChatIn(message="What is in my workspace?", stream=False))
print(answer.text)
print(get_run.sync(client=client, run_id=answer.id).status)
print(list_sessions.sync(client=client).count)
"""


async def ran(*command: str | Path, folder: Path) -> tuple[int, str]:
    """Return the exit status of a program, and its output."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_types_for_typescript_distinguish_the_events(start: Start, tmp_path: Path) -> None:
    npm()
    api = await start(Scripted())
    (tmp_path / "openapi.json").write_text(json.dumps(await api.get("/openapi.json")))
    made = await ran(MODULES / ".bin" / "openapi-typescript", "openapi.json", "-o", "service.d.ts", folder=tmp_path)
    assert made[0] == 0, made[1]
    for name, code, status in (("use.ts", USE, 0), ("wrong.ts", WRONG, 2)):
        (tmp_path / name).write_text(code)
        checked = await ran(MODULES / ".bin" / "tsc", "--noEmit", "--strict", name, folder=tmp_path)
        assert checked[0] == status, checked[1]


async def test_client_for_python_starts_a_run(start: Start, make_key: MakeKey, tmp_path: Path) -> None:
    key = await make_key("generated", "chat", "tools")
    api = await start(Scripted(ANSWER))
    (tmp_path / "openapi.json").write_text(json.dumps(await api.get("/openapi.json", headers=key.headers)))
    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ("generate", "--path", "openapi.json", "--meta", "none", "--output-path", "client")
    made = await ran(generator, *options, folder=tmp_path)
    assert made[0] == 0, made[1]
    (tmp_path / "program.py").write_text(PROGRAM)
    used = await ran(sys.executable, "program.py", api.base_url, key.secret, folder=tmp_path)
    assert used == (0, "Seven files.\ncompleted\n1\n")
