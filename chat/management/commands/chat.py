"""`orchestrator chat`: a conversation in the terminal."""

import asyncio
import json
import logging
import os
import sys
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from orchestrator_client import Call

from access import conf as access_conf
from chat import conf
from chat.client.approval import ApprovalQuestion
from chat.client.conversation import ChatDefaults, Conversation, Outcome
from chat.client.http import HttpTransport
from chat.client.in_process import InProcessTransport
from chat.client.line_editor import LineEditor, kept_history
from chat.client.rendering import Span
from chat.client.repl import Dialogue, sendable
from chat.client.slash_commands import NAMES
from chat.client.terminal import Screen, outlet
from chat.client.transport import Refused, Transport
from command_line.database import existing_database
from command_line.program import PROGRAM

FAILED: Final = 1
STATUSES: Final[dict[Outcome, int]] = {"completed": 0, "failed": FAILED, "cancelled": 130}
"""The exit status of each outcome. After Ctrl-C it is 128 plus the number of SIGINT, as in shells."""

EXAMPLES: Final = f"""\
examples:

  {PROGRAM} chat                                      talk to the default model, in this process
  {PROGRAM} chat --url http://127.0.0.1:8010          talk to a running service
  {PROGRAM} chat "What is a monad?"                   ask once; only the answer goes to standard output
  git diff | {PROGRAM} chat --instructions "Review this change."
  {PROGRAM} chat --session 5949bc40-... "And then?"   continue a session
  {PROGRAM} chat --tool 'fs.read={{"path": "notes.txt"}}' "What do the notes say?"

The exit status of a single question is 0 if it was answered, 1 if it failed, and 130 after Ctrl-C.
"""


class HelpFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """A formatter with Django's order of options, which keeps the line breaks of the examples."""


class Command(BaseCommand):
    help = (
        "Talk to a model, and stream its answers. Without --url the service runs in this process, and stores its\n"
        "conversations as the settings specify."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXAMPLES, formatter_class=HelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("message", nargs="?", help="ask this and end (default: piped standard input)")
        parser.add_argument("--url", type=_url, help="a running service, such as http://127.0.0.1:8010")
        parser.add_argument("--api-key", help="the service's key (better in the environment, as API_KEY)")
        parser.add_argument("--session", type=_session, metavar="ID", help="continue this session")
        parser.add_argument("--provider", help="openai, gemini, anthropic or local (default: the service's default)")
        parser.add_argument("--model", help="the model (default: the provider's default)")
        parser.add_argument("--instructions", help="the system prompt")
        parser.add_argument("--reasoning", action="store_const", const="show", help="show the model's reasoning too")
        parser.add_argument("--raw", action="store_true", help="show answers as they are, not as Markdown")
        parser.add_argument(
            "--tool", type=_call, action="append", default=[], metavar="NAME=JSON",
            help="run this tool before the (first) question; may be given several times",
        )  # fmt: skip

    def handle(self, *, url: str | None, **options: Any) -> None:
        question = _question(options["message"])
        if question is not None and not question.strip() and not options["tool"]:
            raise CommandError("There is no question. Give a MESSAGE, or pipe one in.")
        with asyncio.Runner() as runner:
            key = options["api_key"] or access_conf.api_key()
            transport = HttpTransport(url, api_key=key) if url else self._in_process(runner, options["provider"])
            try:
                status = self._converse(runner, transport, question, options)
            except BrokenPipeError:
                # The reader of the output has gone. Python would fail again when it flushes standard output at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                status = FAILED
            finally:
                runner.run(transport.close())
        if status:
            raise SystemExit(status)

    def _in_process(self, runner: asyncio.Runner, provider: str | None) -> Transport:
        """Return the service in this process, prepared as by `serve`. Raise `CommandError`."""
        # The log would appear between the lines of the conversation.
        logging.getLogger().setLevel(max(logging.WARNING, logging.getLogger().level))
        with existing_database():
            pass
        if not conf.is_stored():
            self.stderr.write(
                "ENABLE_PERSISTENCE=false: nothing is stored, so each question starts a new conversation."
            )
        transport = InProcessTransport()
        try:
            runner.run(transport.open(provider))
        except Refused as refused:
            raise CommandError(str(refused)) from None
        return transport

    def _converse(
        self, runner: asyncio.Runner, transport: Transport, question: str | None, options: dict[str, Any]
    ) -> int:
        """Run the conversation, and return the exit status."""
        plain, forced = options["no_color"], options["force_color"]
        answers = outlet(sys.stdout, plain=plain, forced=forced)
        notes = answers if question is None else outlet(sys.stderr, plain=plain, forced=forced)
        screen = Screen(answers, notes, markdown=answers.colour and not options["raw"])
        defaults = ChatDefaults(
            provider=options["provider"],
            model=options["model"],
            instructions=options["instructions"],
            reasoning=options["reasoning"],
        )
        # Only a person at a terminal can be asked.
        editor = LineEditor(NAMES, kept_history(), colour=notes.colour) if sys.stdin.isatty() else None
        decide = ApprovalQuestion(editor.answer, screen.show).decide if editor else None
        conversation = Conversation(transport, screen.show, defaults, options["session"], decide)
        calls = tuple(options["tool"])
        if question is None and editor:
            runner.run(Dialogue(conversation, editor, screen.show, calls).run())
            return 0
        outcome = runner.run(conversation.turn(question or "", calls))
        if conversation.session_id and notes.stream.isatty():
            screen.show(Span("dim", f"session {conversation.session_id}\n"))
        return STATUSES[outcome]


def _question(message: str | None) -> str | None:
    """Return the only question, or None for an interactive conversation."""
    if message is not None:
        return sendable(message)
    if sys.stdin.isatty():
        return None
    # As bytes: the text layer would fail at the first byte that is not UTF-8.
    return sendable(sys.stdin.buffer.read().decode("utf-8", "surrogateescape")).rstrip("\n")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        # Reading the port checks it.
        is_url = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ArgumentTypeError(f"{text!r} is not the address of a service, such as http://127.0.0.1:8010")
    return text


def _session(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not the id of a session, which is a UUID") from None


def _call(text: str) -> Call:
    name, _, params = text.partition("=")
    try:
        values = json.loads(params or "{}")
    except ValueError as error:
        raise ArgumentTypeError(f"the params of {name} are not JSON: {error}") from None
    if not name or not isinstance(values, dict):
        raise ArgumentTypeError("""give NAME=JSON with a JSON object, such as 'fs.read={"path": "notes.txt"}'""")
    return Call(name=name, params=values)
