"""The transport to the service in this process: the same runs and storage, without a socket."""

from collections.abc import AsyncGenerator
from contextlib import closing
from uuid import UUID

import msgspec
from orchestrator_client import Event, Reconnecting
from orchestrator_client.core.sse import EventReader

from access.caller import LOCAL, OPERATOR
from chat import service_registry
from chat.api.errors import REFUSALS
from chat.api.streams import answer_new
from chat.client.operator_access import OperatorAccess
from chat.client.transport import Item, Question, Refused
from chat.engine.messages import Image
from chat.engine.model_port import ProviderError
from chat.providers.registry import NotConfigured, UnknownProvider
from chat.runs.live.run import LiveRun
from chat.starting.request import RunRequest
from tools.base import ToolRequest


class InProcessTransport(OperatorAccess):
    """The service of this process, used as its operator."""

    def __init__(self) -> None:
        self._run: LiveRun | None = None

    async def open(self, provider: str | None) -> None:
        """Prepare a provider, by default the default one, for example by loading its model. Raise `Refused`."""
        providers = service_registry.current().providers
        try:
            await providers.get(provider or providers.default).warm_up()
        except (ProviderError, UnknownProvider, NotConfigured) as error:
            raise Refused(str(error)) from None

    async def ask(self, question: Question) -> AsyncGenerator[Event | Reconnecting]:
        try:
            session_id = UUID(question.session_id) if question.session_id else None
        except ValueError:
            raise Refused(f"{question.session_id!r} is not the id of a session, which is a UUID.") from None
        request = RunRequest(
            caller=LOCAL,
            message=question.message,
            session_id=session_id,
            provider=question.provider,
            model=question.model,
            tool_calls=tuple(
                ToolRequest(tool=call.name, arguments=msgspec.json.encode(call.params).decode(), source="caller")
                for call in question.tool_calls
            ),
            instructions=question.instructions,
            shows_reasoning=question.reasoning == "show",
            images=tuple(Image(media_type=image.media_type, data=image.data) for image in question.attachments),
        )
        try:
            self._run = await service_registry.current().start(request)
        except tuple(REFUSALS) as error:
            raise Refused(str(REFUSALS[type(error)](error))) from None
        # The frames are parsed again, so that both transports show exactly the same events.
        subscription = service_registry.current().follow(self._run.spec.run_id, OPERATOR, 0)
        reader = EventReader()
        with closing(subscription):
            async for frames in subscription:
                for event in reader.feed(frames):
                    yield event

    async def cancel(self, run_id: str) -> None:
        if self._run is not None:
            self._run.stop("cancelled")

    async def compact(self, session_id: str) -> Item:
        try:
            starting = service_registry.current().compact(UUID(session_id), LOCAL)
            answer = await answer_new(starting, LOCAL, as_json=True)
        except ValueError:
            raise Refused("There is no such session.") from None
        except tuple(REFUSALS) as error:
            raise Refused(str(REFUSALS[type(error)](error))) from None
        run: Item = msgspec.json.decode(b"".join([part async for part in answer]))
        return run

    async def close(self) -> None:
        await service_registry.close()
