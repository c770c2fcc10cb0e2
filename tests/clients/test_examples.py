"""Each program in `examples`, run as a reader would run it."""

from pathlib import Path

import pytest

from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.clients.conftest import EXAMPLES, npm, run
from tests.conftest import Start

pytestmark = pytest.mark.slow

LISTING = [ToolCall(call_id="l", name="fs.list", arguments="{}"), Finished(reason="tool_calls")]
ANSWER = [text("Seven", " files."), TokensUsed(input_tokens=7, output_tokens=2), Finished(reason="stop")]
PROGRAMS = {
    "curl.sh": ("bash", '"token":"Seven"'),
    "python_client.py": ("python", "Seven files."),
    "httpx_stream.py": ("python", "Seven files."),
    "openai_chat.py": ("python", "Seven files."),
    "openai_responses.py": ("python", "mcp_call\nmessage\nSeven files."),
    "mcp_client.py": ("python", "fs.list"),
    "websocket.py": ("python", "Seven files."),
    "openai_chat.mjs": ("node", "Seven files."),
    "ag_ui.mjs": ("node", "[fs.list]\nSeven files."),
    "mcp_client.mjs": ("node", "fs.list"),
    "event_source.mjs": ("node", "Seven files."),
}


def test_every_program_is_run() -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".sh", ".mjs"}}
    assert names == set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
async def test_program_answers(start: Start, make_key: MakeKey, name: str) -> None:
    kind, expected = PROGRAMS[name]
    if kind == "node":
        npm()
    key = await make_key("reader", "chat", "tools")
    api = await start(Scripted(LISTING, ANSWER, ANSWER))
    output = await run(api, kind, str(Path(name)), API_KEY=key.secret)
    assert expected in output
