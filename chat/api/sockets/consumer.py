"""`/ws/chat`: conversations over a WebSocket (RFC 6455), with the same bodies and events as over HTTP.

Each message is a JSON object with a `type`: `auth`, `chat`, `follow`, `cancel`, `resume`, `approve`, `deny` or
`result`. The service sends each run's events, with the run's id as `run` and the event's number as `id`. It replies
`done` or `refused` to a command. A `ref` in a message is returned with its reply.
"""

from collections.abc import Sequence
from functools import partial

from access.caller import Caller
from access.sockets.consumer import DROPPED, KeyedConsumer
from chat.api.errors import refusal_of
from chat.api.sockets.commands import execute
from chat.api.sockets.messages import SCOPES, Chat, Command, Resume, parse_message
from chat.api.sockets.runs import FollowedRuns


class ChatConsumer(KeyedConsumer):
    """One socket. Its runs outlive it, as they outlive any connection."""

    parse = staticmethod(parse_message)
    refusal_of = staticmethod(refusal_of)
    # A run that is half begun would be lost with its task: it begins, and loses its only subscriber.
    lasting = (Chat, Resume)

    def __init__(self) -> None:
        super().__init__()
        self._runs = FollowedRuns(self.send_text, partial(self.close, DROPPED))

    def scopes_of(self, command: Command) -> Sequence[str]:
        return SCOPES[command.type]

    def stop(self) -> None:
        self._runs.stop()

    async def execute(self, command: Command, caller: Caller) -> None:
        if isinstance(command, Chat | Resume):
            self._runs.check_room()
        result = await execute(command, caller)
        if result.done is not None:
            await self.reply({"type": "done", "action": command.type, **result.done}, command.ref)
        if result.run_id is not None:
            self._runs.follow(result.run_id, result.owner, result.cursor, hides_reasoning=result.hides_reasoning)
