"""The transport over HTTP, to a service that runs elsewhere, with the client of `clients/python`."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from http import HTTPStatus

import msgspec
from orchestrator_client import ApiError, AsyncClient, ConnectionLost, Event, ProtocolError, Reconnecting
from orchestrator_client.core.questions import Options
from orchestrator_client.core.service import FIRST_WAIT

from chat.client.transport import Item, Lost, Question, Refused, Verdict
from command_line.program import PROGRAM


class HttpTransport:
    """The service at `url`. `api_key` is sent if it is given."""

    def __init__(self, url: str, *, api_key: str = "", first_wait: float = FIRST_WAIT) -> None:
        self._client = AsyncClient(url, api_key=api_key, first_wait=first_wait)

    async def ask(self, question: Question) -> AsyncGenerator[Event | Reconnecting]:
        options: Options = {
            "session_id": question.session_id,
            "provider": question.provider,
            "model": question.model,
            "instructions": question.instructions,
            "tool_calls": question.tool_calls,
            "attachments": question.attachments,
            "reasoning": question.reasoning or "hide",
        }
        with _reported():
            async with aclosing(self._client.stream(question.message, **options)) as items:
                async for item in items:
                    yield item

    async def cancel(self, run_id: str) -> None:
        with _reported():
            await self._client.cancel(run_id)

    async def compact(self, session_id: str) -> Item:
        with _reported():
            return _item(await self._client.compact(session_id))

    async def execution(self, execution_id: str) -> Item:
        with _reported():
            return _item(await self._client.execution(execution_id))

    async def decide(self, execution_id: str, verdict: Verdict, params_sha256: str) -> None:
        decide = self._client.approve if verdict == "approve" else self._client.deny
        with _reported():
            await decide(execution_id, params_sha256)

    async def tools(self) -> Sequence[Item]:
        with _reported():
            return [_item(tool) for tool in (await self._client.tools()).items]

    async def providers(self) -> Sequence[Item]:
        with _reported():
            return [_item(provider) for provider in (await self._client.providers()).items]

    async def sessions(self, most: int) -> Sequence[Item]:
        with _reported():
            return [_item(session) for session in (await self._client.sessions(limit=most)).items]

    async def close(self) -> None:
        await self._client.close()


def _item(value: msgspec.Struct) -> Item:
    item: Item = msgspec.to_builtins(value)
    return item


@contextmanager
def _reported() -> Iterator[None]:
    """Raise `Refused` and `Lost` for the errors of the client."""
    try:
        yield
    except ApiError as error:
        hint = " Set the key with --api-key or API_KEY." if error.status == HTTPStatus.UNAUTHORIZED else ""
        raise Refused(f"{error}{hint}") from None
    except ConnectionLost as error:
        hint = "" if error.run_id else f" Is the service running there ({PROGRAM} serve)?"
        raise Lost(f"{error}{hint}") from None
    except ProtocolError as error:
        raise Lost(str(error)) from None
