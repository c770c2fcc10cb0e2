"""The terminal client against the real service, over a real socket and inside its process.

Covers `chat.management.commands.chat`.
"""

import asyncio
import io
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from orchestrator_client import Call
from orchestrator_client.core.flows import ATTEMPTS

from chat.client.conversation import ChatDefaults, Conversation
from chat.client.rendering import Span
from chat.client.repl import sendable
from chat.client.terminal import outlet
from chat.client.transport import Transport
from chat.engine.model_port import Finished, ProviderError, Thought, TokensUsed
from chat.providers.scripted import Scripted, text
from tests.chat.client.conftest import HttpTo, To
from tests.conftest import Start
from tests.cutting import cutting
from tools.resources import workspaces

pytestmark = pytest.mark.slow

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=7, output_tokens=2)
ROOT = Path(settings.BASE_DIR)
DEADLINE = 60


class Terminal:
    """The output of a conversation."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    @property
    def answer(self) -> str:
        return "".join(span.text for span in self.spans if span.style == "answer")

    @property
    def notes(self) -> str:
        return "".join(span.text for span in self.spans if span.style != "answer")


def talk(transport: Transport, **defaults: Any) -> tuple[Conversation, Terminal]:
    terminal = Terminal()
    return Conversation(transport, terminal.spans.append, ChatDefaults(**defaults)), terminal


async def test_answer_is_shown_and_the_session_kept(start: Start, transport_to: To) -> None:
    model = Scripted([Thought("Ann"), Thought("?"), text("Hello ", "Ann"), USED, STOP], [text("Ann"), USED, STOP])
    api = await start(model)
    conversation, terminal = talk(transport_to(api), instructions="Be brief.", reasoning="show")
    assert await conversation.turn("I am Ann") == "completed"
    first = conversation.session_id
    assert await conversation.turn("Who am I?") == "completed"
    assert conversation.session_id == first
    assert terminal.answer == "Hello Ann\nAnn\n"
    assert "Ann?" in terminal.notes
    assert "7 tokens in, 2 out" in terminal.notes
    assert [message.text for message in model.requests[1].messages] == ["I am Ann", "Hello Ann", "Who am I?"]
    assert model.requests[0].instructions == "Be brief."
    assert (await api.get("/chat/sessions"))["count"] == 1


async def test_tools_requested_by_the_user_are_run_and_shown(start: Start, transport_to: To) -> None:
    (workspaces().root.base / "notes.txt").write_text("The word is plover.\n")
    conversation, terminal = talk(transport_to(await start(Scripted())))
    call = Call(name="fs.read", params={"path": "notes.txt"})
    assert await conversation.turn("", (call,)) == "completed"
    assert '-> fs.read {"path": "notes.txt"}' in terminal.notes
    assert "The word is plover." in terminal.notes


async def test_failed_run_is_reported(start: Start, transport_to: To) -> None:
    cut = ProviderError("It was cut.", code="provider_protocol", retryable=True)
    conversation, terminal = talk(transport_to(await start(Scripted([text("Par"), cut]))))
    assert await conversation.turn("Hi") == "failed"
    assert terminal.answer == "Par\n"
    assert "provider_protocol: It was cut." in terminal.notes


async def test_rejected_request_is_reported_and_the_conversation_continues(start: Start, transport_to: To) -> None:
    api = await start(Scripted([text("Hello"), STOP]))
    transport = transport_to(api)
    conversation, terminal = talk(transport, provider="none-such")
    assert await conversation.turn("Hi") == "failed"
    assert "There is no provider 'none-such'" in terminal.notes
    again, terminal = talk(transport)
    again.session_id = str(uuid4())
    assert await again.turn("Hi") == "failed"
    assert terminal.notes == "There is no such session.\n"
    again.session_id = None
    assert await again.turn("Hi") == "completed"


async def test_control_c_cancels_the_run_and_keeps_the_session(start: Start, transport_to: To) -> None:
    begun = asyncio.Event()

    async def hold() -> None:
        begun.set()
        await asyncio.sleep(DEADLINE)

    api = await start(Scripted([text("Once upon"), hold, STOP], [text("Yes."), STOP]))
    conversation, terminal = talk(transport_to(api))
    turn = asyncio.create_task(conversation.turn("A story"))
    await asyncio.wait_for(begun.wait(), DEADLINE)
    async with asyncio.timeout(DEADLINE):
        while not terminal.answer:
            await asyncio.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(turn, DEADLINE) == "cancelled"
    assert terminal.answer == "Once upon\n"
    assert await conversation.turn("Are you there?") == "completed"
    messages = await api.get(f"/chat/sessions/{conversation.session_id}/messages")
    assert [message["content"] for message in messages["items"]] == ["A story", "Once upon", "Are you there?", "Yes."]


async def test_without_persistence_each_question_has_no_history(start: Start, transport_to: To) -> None:
    api = await start(Scripted([text("One"), STOP], [text("Two"), STOP]), stored=False)
    conversation, terminal = talk(transport_to(api))
    assert await conversation.turn("1") == await conversation.turn("2") == "completed"
    assert conversation.session_id is None
    assert terminal.answer == "One\nTwo\n"


@pytest.mark.parametrize("after", [(0,), (1,), (150,), (205, 0, 3, 40), (260, 300)])
async def test_broken_connection_is_resumed_at_its_cursor(
    start: Start, after: tuple[int, ...], http_to: HttpTo
) -> None:
    pieces = [f"piece {number}, " for number in range(30)]
    begun = asyncio.Event()
    api = await start(Scripted([text(*pieces[:10]), begun.wait, text(*pieces[10:]), USED, STOP]))
    async with cutting(api.base_url, *after) as url:
        conversation, terminal = talk(http_to(url, first_wait=0.001))
        turn = asyncio.create_task(conversation.turn("Hi"))
        async with asyncio.timeout(DEADLINE):
            while "connection lost" not in terminal.notes:
                await asyncio.sleep(0.001)
        begun.set()
        assert await asyncio.wait_for(turn, DEADLINE) == "completed"
    assert terminal.answer.replace("\n", "") == "".join(pieces)
    assert terminal.notes.count("connection lost") == len(after)


async def test_client_gives_up_on_a_service_that_stays_unreachable(start: Start, http_to: HttpTo) -> None:
    api = await start(Scripted([text("Hel"), asyncio.Event().wait]))
    async with cutting(api.base_url, 100, *[0] * ATTEMPTS) as url:
        conversation, terminal = talk(http_to(url, first_wait=0.001))
        assert await asyncio.wait_for(conversation.turn("Hi"), DEADLINE) == "failed"
    assert f"({ATTEMPTS}/{ATTEMPTS})" in terminal.notes
    assert "cannot be followed any more" in terminal.notes


async def test_unreachable_service_is_reported_in_one_line(unused_tcp_port: int, http_to: HttpTo) -> None:
    conversation, terminal = talk(http_to(f"http://127.0.0.1:{unused_tcp_port}"))
    assert await conversation.turn("Hi") == "failed"
    assert terminal.notes.startswith(f"Cannot reach http://127.0.0.1:{unused_tcp_port}: ")
    assert terminal.notes.count("\n") == 1


async def test_unrelated_service_is_reported(start: Start, http_to: HttpTo) -> None:
    api = await start(Scripted())
    conversation, terminal = talk(http_to(f"{api.base_url}/nowhere"))
    assert await conversation.turn("Hi") == "failed"
    assert terminal.notes.startswith("Not found")


async def test_missing_key_is_reported_and_a_given_key_is_sent(start: Start, settings: object, http_to: HttpTo) -> None:
    settings.API_KEY = "secret-1"
    api = await start(Scripted([text("Hello"), STOP]))
    conversation, terminal = talk(http_to(api.base_url))
    assert await conversation.turn("Hi") == "failed"
    assert "--api-key" in terminal.notes
    conversation, terminal = talk(http_to(api.base_url, api_key="secret-1"))
    assert await conversation.turn("Hi") == "completed"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_used_only_on_terminals_that_allow_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert outlet(Tty(), plain=False).colour
    assert outlet(io.StringIO(), plain=False, forced=True).colour
    assert not outlet(io.StringIO(), plain=False).colour
    assert not outlet(Tty(), plain=True).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not outlet(Tty(), plain=False).colour


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--url", "ftp://x", "Hi"], "not the address of a service"),
        (["--session", "7", "Hi"], "which is a UUID"),
        (["--tool", "fs.read={", "Hi"], "not JSON"),
        (["--tool", "fs.read=[1]", "Hi"], "JSON object"),
        (["  "], "There is no question"),
    ],
)
def test_invalid_argument_is_reported_with_the_valid_choices(arguments: list[str], expected: str) -> None:
    with pytest.raises(CommandError, match=expected):
        call_command("chat", *arguments)


def test_characters_that_the_service_rejects_are_replaced() -> None:
    assert sendable("a\x00b\udcff é") == "a\ufffdb\ufffd é"


async def command(*arguments: str, given: bytes = b"") -> tuple[int | None, str, str]:
    """Run `manage.py chat` as a process with pipes; return its status, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "manage.py",
        "chat",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(given), DEADLINE)
    return process.returncode, out.decode(), err.decode()


async def test_piped_question_prints_only_the_answer(start: Start) -> None:
    model = Scripted([text("\x1b[31mHel", "lo"), USED, STOP])
    api = await start(model)
    status, out, err = await command("--url", api.base_url, given="Grüße\n".encode())
    assert (status, out) == (0, "\\x1b[31mHello\n")
    assert err == "7 tokens in, 2 out\n"
    assert model.requests[0].messages[0].text == "Grüße"
    down = await command("--url", api.base_url, "And now?")
    assert down[:2] == (1, "")
    assert "provider_unavailable" in down[2]


async def until(reader: asyncio.StreamReader, expected: bytes) -> bytes:
    """Return the output up to the first `expected`."""
    return await asyncio.wait_for(reader.readuntil(expected), DEADLINE)


async def test_terminal_session_has_colours_commands_and_control_c(start: Start) -> None:
    held = asyncio.Event()
    api = await start(Scripted([text("Hello"), USED, STOP], [text("Once"), held.wait, STOP]))
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, ROOT / "manage.py", "chat", "--url", api.base_url,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    reader = asyncio.StreamReader()
    terminal = os.fdopen(ours, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), terminal)
    await until(reader, b"> ")
    os.write(ours, b"Hi\r")
    shown = await until(reader, b"out\x1b[0m")
    assert b"Hello" in shown
    assert shown.endswith(b"\x1b[2m7 tokens in, 2 out\x1b[0m")
    os.write(ours, b"/session\r")
    assert b"come back with --session" in await until(reader, b"--session")
    os.write(ours, b"A story\r")
    await until(reader, b"Once")
    process.send_signal(signal.SIGINT)
    await until(reader, b"cancelled")
    await until(reader, b"> ")
    os.write(ours, b"\x04")
    await until(reader, b"come back")
    assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
