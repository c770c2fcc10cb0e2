"""The service inside this very process: the same runs, stored in the same place, without a socket."""

from collections.abc import AsyncGenerator
from contextlib import closing
from uuid import UUID

import msgspec

from access.caller import LOCAL, OPERATOR
from chat import service_registry
from chat.api.errors import REFUSALS
from chat.client.events import Frame, Reader
from chat.client.transport import Question, Reconnecting, Refused
from chat.engine.model_port import ProviderError
from chat.providers.registry import NotConfigured, UnknownProvider
from chat.runs.live.run import LiveRun
from chat.starting.request import RunRequest
from tools.base import ToolRequest


class InProcessTransport:
    """Runs of this process's own service, as the service's operator."""

    def __init__(self) -> None:
        self._run: LiveRun | None = None

    async def open(self, provider: str | None) -> None:
        """Gets a provider ready (loading its model), the default one where none is named. Raises `Refused`."""
        providers = service_registry.current().providers
        try:
            await providers.get(provider or providers.default).warm_up()
        except (ProviderError, UnknownProvider, NotConfigured) as error:
            raise Refused(str(error)) from None

    async def ask(self, question: Question) -> AsyncGenerator[Frame | Reconnecting]:
        try:
            self._run = await service_registry.current().start(_asked(question))
        except tuple(REFUSALS) as error:
            raise Refused(str(REFUSALS[type(error)](error))) from None
        follower = service_registry.current().follow(self._run.spec.run_id, OPERATOR, 0)
        reader = Reader()
        with closing(follower):
            async for frames in follower:
                for frame in reader.feed(frames):
                    yield frame

    async def cancel(self, run_id: str) -> None:
        if self._run is not None:
            self._run.stop("cancelled")

    async def close(self) -> None:
        await service_registry.close()


def _asked(question: Question) -> RunRequest:
    return RunRequest(
        caller=LOCAL,
        message=question.message,
        session_id=UUID(question.session_id) if question.session_id else None,
        provider=question.provider,
        model=question.model,
        tool_calls=tuple(
            ToolRequest(tool=call.name, arguments=msgspec.json.encode(call.params).decode(), source="caller")
            for call in question.tool_calls
        ),
        instructions=question.instructions,
    )
