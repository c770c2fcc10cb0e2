"""The commands of the conversation."""

from pathlib import Path

import pytest

from chat.client.conversation import ChatDefaults, Conversation
from chat.client.rendering import Span
from chat.client.slash_commands import HELP, NAMES, SlashCommands
from chat.client.transport import Transport
from chat.engine.model_port import Finished, TokensUsed
from chat.providers.scripted import Scripted, text
from tests.chat.client.conftest import HttpTo, To
from tests.conftest import Start

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
ANSWER = [text("Hello"), TokensUsed(input_tokens=7, output_tokens=2), Finished(reason="stop")]


class Commands:
    """A conversation and what its commands print."""

    def __init__(self, transport: Transport) -> None:
        self.spans: list[Span] = []
        self.conversation = Conversation(transport, self.spans.append, ChatDefaults())
        self._commands = SlashCommands(self.conversation, self.spans.append)

    async def run(self, line: str) -> str:
        self.spans.clear()
        await self._commands.run(line)
        return "".join(span.text for span in self.spans)


async def test_models_tools_sessions_and_costs_are_shown(start: Start, transport_to: To) -> None:
    model = Scripted(ANSWER, ANSWER)
    commands = Commands(transport_to(await start(model)))
    assert "scripted (default): scripted-1" in await commands.run("/model")
    assert "\nfs.write           write" in await commands.run("/tools")
    assert "There are no sessions yet." in await commands.run("/resume")
    await commands.conversation.turn("Hi")
    first = commands.conversation.session_id
    assert "7 tokens in, 2 out" in await commands.run("/cost")
    await commands.run("/new")
    assert commands.conversation.session_id is None
    assert "Hi" in await commands.run("/resume")
    assert str(first) in await commands.run("/resume 1")
    assert commands.conversation.session_id == first
    assert str(first) in await commands.run("/session")
    assert "scripted-2 of scripted" in await commands.run("/model scripted scripted-2")
    await commands.conversation.turn("And now?")
    assert model.requests[-1].model == "scripted-2"
    assert "the default model of the default" in await commands.run("/model default")


async def test_picture_goes_with_the_next_question_only(start: Start, transport_to: To, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    model = Scripted(ANSWER, ANSWER)
    model.supports_images = True
    commands = Commands(transport_to(await start(model)))
    assert "a.png (16 bytes) goes with the next question" in await commands.run(f"/attach {tmp_path}/a.png")
    await commands.conversation.turn("What is this?")
    await commands.conversation.turn("And now?")
    assert [len(request.messages[-1].images) for request in model.requests] == [1, 0]


async def test_session_is_compacted_on_request(start: Start, transport_to: To) -> None:
    summary = [text("Greetings."), TokensUsed(input_tokens=90, output_tokens=1), Finished(reason="stop")]
    commands = Commands(transport_to(await start(Scripted(ANSWER, ANSWER, summary))))
    assert "There is no session yet." in await commands.run("/compact")
    await commands.conversation.turn("Hi " + "x" * 900)
    assert "no older messages" in await commands.run("/compact")
    await commands.conversation.turn("And now?")
    assert "A summary stands for 2 older messages" in await commands.run("/compact")
    assert "104 tokens in" in await commands.run("/cost")
    commands.conversation.session_id = "none"
    assert "no such" in (await commands.run("/compact")).lower() or "Not found" in await commands.run("/compact")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/attach", "Give the path of a PNG"),
        ("/attach notes.txt", "Give the path of a PNG"),
        ("/attach /nowhere/a.png", "cannot be read: No such file"),
        ("/nothing", "There is no such command"),
    ],
)
async def test_invalid_command_is_reported(start: Start, line: str, said: str, http_to: HttpTo) -> None:
    commands = Commands(http_to((await start(Scripted())).base_url))
    assert said in await commands.run(line)


async def test_help_names_every_command(start: Start, http_to: HttpTo) -> None:
    shown = await Commands(http_to((await start(Scripted())).base_url)).run("/help")
    assert all(name in shown for name in [*HELP, *NAMES])


async def test_service_that_is_away_is_reported(unused_tcp_port: int, http_to: HttpTo) -> None:
    commands = Commands(http_to(f"http://127.0.0.1:{unused_tcp_port}"))
    assert "Cannot reach" in await commands.run("/tools")
