"""The examples of the client's README, run as a reader would run them."""

import asyncio
import io
import re
from contextlib import redirect_stdout
from typing import Final

import pytest

from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from scripts.source import ROOT
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Start

EXAMPLES: Final = re.findall(r"```python\n(.*?)```", (ROOT / "clients" / "python" / "README.md").read_text(), re.DOTALL)
CALLS: Final = Finished(reason="tool_calls")
LISTING: Final = [ToolCall(call_id="l", name="fs.list", arguments="{}"), CALLS]
WRITE: Final = [ToolCall(call_id="w", name="fs.write", arguments='{"path": "a.txt", "content": ""}'), CALLS]
ROOM: Final = [ToolCall(call_id="r", name="room", arguments='{"floor": 3}'), CALLS]
ANSWER: Final = [text("Seven", " files."), TokensUsed(input_tokens=7, output_tokens=2), Finished(reason="stop")]


@pytest.mark.parametrize(
    ("number", "answers", "output"),
    [
        (0, [ANSWER, ANSWER], "Seven files. None\nSeven files.\n"),
        (1, [LISTING, ANSWER], "[fs.list {}]\nSeven files.\ncompleted\n"),
        (2, [WRITE, ROOM, ANSWER], "Seven files.\n"),
    ],
)
async def test_example_runs(
    start: Start, make_key: MakeKey, number: int, answers: list[list[object]], output: str
) -> None:
    key = await make_key("reader", "chat", "tools", "approve")
    model = Scripted(*answers)
    api = await start(model, policy="ask fs.write")
    program = EXAMPLES[number].replace("http://127.0.0.1:8010", api.base_url).replace("osk_...", key.secret)
    printed = io.StringIO()

    def run() -> None:
        with redirect_stdout(printed):
            exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102 - the example

    await asyncio.to_thread(run)
    assert printed.getvalue() == output
    assert len(EXAMPLES) == 3
    if number == 2:
        assert '"room":306' in str(model.requests[-1].messages[-1]).replace(" ", "")
