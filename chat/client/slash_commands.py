"""The commands of the conversation: lines that begin with a slash."""

import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from orchestrator_client import Image

from chat.client.conversation import Conversation
from chat.client.rendering import Span, cost_of
from chat.client.transport import Lost, Refused
from console.visible_text import visible_text, visible_text_line
from web.plurals import counted

HELP: Final[Mapping[str, str]] = {
    "/model [[PROVIDER] NAME]": "show the models, or choose one for the next questions; /model default goes back",
    "/tools": "list the tools, and which ones need an approval",
    "/attach PATH": "send a picture of this machine with the next question",
    "/resume [NUMBER or ID]": "list the newest sessions, or continue one",
    "/session": "show the session's id, and how to return to it",
    "/compact": "summarise the older messages of the session, so that the next questions send less",
    "/new": "begin a new session",
    "/cost": "show the tokens and the cost of this conversation",
    "/help": "show this help",
    "/quit": "end, like Ctrl-D",
    "//...": "send a line that begins with /",
    "Alt-Enter": "begin a new line; a backslash before Enter does so too",
    "Ctrl-C": "stop the answer; the text so far is kept",
}
NAMES: Final = tuple(name.split()[0] for name in HELP if name.startswith("/") and name != "//...")

MAX_PICTURE_BYTES: Final = 8 * 2**20
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MAX_SESSIONS: Final = 10
MAX_MODELS: Final = 20
SUMMARY: Final = 70


class SlashCommands:
    """Runs one command at a time for a conversation."""

    def __init__(self, conversation: Conversation, show: Callable[[Span], None]) -> None:
        self._conversation = conversation
        self._show = show
        self._listed: list[str] = []
        self._commands: Mapping[str, Callable[[str], Awaitable[None]]] = {
            "/model": self._model,
            "/tools": self._tools,
            "/attach": self._attach,
            "/resume": self._resume,
            "/session": self._session,
            "/compact": self._compact,
            "/new": self._new,
            "/cost": self._cost,
            "/help": self._help,
        }

    async def run(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = self._commands.get(name)
        if command is None:
            self._show(Span("warning", "There is no such command. /help lists the commands.\n"))
            return
        try:
            await command(argument.strip())
        except (Refused, Lost) as error:
            self._show(Span("error", f"{visible_text_line(str(error), 2 * SUMMARY)}\n"))

    def session(self) -> str:
        """Return the line that says how to return to the session."""
        session = self._conversation.session_id
        return f"session {session} (come back with --session {session})" if session else "There is no session yet."

    async def _model(self, argument: str) -> None:
        defaults = self._conversation.defaults
        if argument == "default":
            self._conversation.defaults = msgspec.structs.replace(defaults, provider=None, model=None)
        elif argument:
            provider, _, model = argument.rpartition(" ")
            chosen = provider.strip() or defaults.provider
            self._conversation.defaults = msgspec.structs.replace(defaults, provider=chosen, model=model)
        else:
            for item in await self._conversation.transport.providers():
                models = ", ".join(item["models"][:MAX_MODELS])
                more = len(item["models"]) - MAX_MODELS
                about = f"{models}{f' and {more} more' if more > 0 else ''}" if item["configured"] else item["reason"]
                self._print(f"{item['name']}{' (default)' if item['default'] else ''}: {about}")
        now = self._conversation.defaults
        self._print(f"The next question goes to {now.model or 'the default model'} of {now.provider or 'the default'}.")

    async def _tools(self, _: str) -> None:
        for item in await self._conversation.transport.tools():
            state = {"allow": "", "ask": ", needs an approval", "deny": ", denied"}[item["policy"]]
            off = f", off: {item['reason']}" if item["reason"] else ""
            summary = visible_text_line(item["description"].partition("\n")[0], SUMMARY)
            self._print(f"{item['name']:<18} {item['effect']}{state}{off}  {summary}")

    async def _attach(self, argument: str) -> None:
        path = Path(argument).expanduser()  # noqa: ASYNC240 - a look at the user's own files, while nothing else runs
        media_type = mimetypes.guess_type(path.name)[0] or ""
        if not argument or media_type not in PICTURES:
            raise Refused("Give the path of a PNG, JPEG, GIF or WebP picture: /attach PATH")
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PICTURE_BYTES + 1)
        except OSError as error:
            raise Refused(f"{argument} cannot be read: {error.strerror}") from None
        if len(data) > MAX_PICTURE_BYTES:
            raise Refused(f"{argument} is larger than {MAX_PICTURE_BYTES} bytes.")
        picture = Image(media_type=media_type, data=data)
        self._conversation.attachments = (*self._conversation.attachments, picture)
        self._print(f"{path.name} ({len(data):,} bytes) goes with the next question.")

    async def _resume(self, argument: str) -> None:
        if argument:
            is_number = argument.isdecimal() and 0 < int(argument) <= len(self._listed)
            self._conversation.session_id = self._listed[int(argument) - 1] if is_number else argument
            self._print(f"The next question continues session {self._conversation.session_id}.")
            return
        found = await self._conversation.transport.sessions(MAX_SESSIONS)
        self._listed = [str(item["id"]) for item in found]
        for number, item in enumerate(found, 1):
            self._print(f"{number:>2}  {str(item['updated'])[:16]}  {item['title'] or item['id']}")
        self._print("/resume NUMBER continues one of them." if found else "There are no sessions yet.")

    async def _session(self, _: str) -> None:
        self._print(self.session())

    async def _compact(self, _: str) -> None:
        if self._conversation.session_id is None:
            raise Refused("There is no session yet.")
        run = await self._conversation.compact(self._conversation.session_id)
        done = run["compaction"]
        if not done:
            raise Refused(run["error"] or run["warning"] or f"Nothing was compacted: {run['reason']}.")
        self._print(f"A summary stands for {counted(done['summarized'], 'older message')} from now on.")
        self._print(f"The conversation has about {done['after']:,} tokens instead of {done['before']:,}.")

    async def _new(self, _: str) -> None:
        self._conversation.session_id = None
        self._print("A new session begins with the next question.")

    async def _cost(self, _: str) -> None:
        used = self._conversation.used
        self._print(f"{used.input_tokens:,} tokens in, {used.output_tokens:,} out{cost_of(used)} in this conversation")

    async def _help(self, _: str) -> None:
        width = max(map(len, HELP)) + 2
        for name, does in HELP.items():
            self._print(f"  {name:<{width}}{does}")

    def _print(self, line: str) -> None:
        self._show(Span("dim", f"{visible_text(line)}\n"))
