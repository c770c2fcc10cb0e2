"""The one door to every tool, for models, callers and the command line: validate, record, run, record."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from storage.ids import new_id
from tools.base import Failed, Opened, Progress, Succeeded, Tool, ToolError, ToolRequest, ToolSpec
from tools.record import Intent, Outcome, close_execution, open_execution
from tools.registry import Registry
from tools.running import Running
from tools.showing import show

logger = logging.getLogger(__name__)

Keep = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a sync function in a transaction, or does nothing where nothing is stored."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an execution belongs."""

    owner: str
    session_id: UUID | None = None
    run_id: UUID | None = None


class ToolDoor:
    """The door as one run sees it: `offered` are the tools that its model may be told of."""

    def __init__(
        self, registry: Registry, place: Place, keep: Keep, *, offered: Sequence[Tool], result_bytes: int
    ) -> None:
        self._registry = registry
        self._place = place
        self._keep = keep
        self._offered = {tool.name: tool for tool in offered}
        self._result_bytes = result_bytes

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._offered.values())

    async def execute(self, request: ToolRequest) -> AsyncGenerator[Progress]:
        """Runs one tool. Its row is committed before it starts, and its outcome before that is told."""
        intent = self._intent(request)
        started = time.perf_counter()
        running: Running | None = None
        outcome: Succeeded | Failed
        try:
            await self._keep(partial(open_execution, intent))
            yield Opened(execution_id=str(intent.execution_id), params=intent.params)
            running = self._start(request)
            async for piece in running.output():
                yield piece
            outcome = self._succeeded(await running.result())
        except ToolError as error:
            outcome = Failed(error=str(error), code=error.code)
        except (asyncio.CancelledError, GeneratorExit):
            if running is not None:
                await running.stop()
            stopped = Failed(error="The run was stopped while the tool ran.", code="cancelled")
            await self._close(intent.execution_id, stopped, time.perf_counter() - started)
            raise
        except Exception:
            logger.exception("tool.broken", extra={"tool": request.tool})
            outcome = Failed(error="The tool failed by a fault of its own; the service's log says more.", code="failed")
        await self._close(intent.execution_id, outcome, time.perf_counter() - started)
        yield outcome

    def _intent(self, request: ToolRequest) -> Intent:
        try:
            params = msgspec.json.decode(request.arguments)
        except (msgspec.DecodeError, RecursionError):
            params = request.arguments
        return Intent(
            execution_id=new_id(),
            owner=self._place.owner,
            session_id=self._place.session_id,
            run_id=self._place.run_id,
            call_id=request.call_id,
            tool=request.tool,
            source=request.source,
            params=params,
            params_sha256=hashlib.sha256(msgspec.json.encode(params, order="sorted")).hexdigest(),
            created=timezone.now(),
        )

    def _start(self, request: ToolRequest) -> Running:
        """The tool at work. Raises `ToolError` for a tool that there is not, and for params that it does not take."""
        tool = self._registry.get(request.tool) if request.source == "caller" else self._offered.get(request.tool)
        if tool is None:
            valid = self._registry.names if request.source == "caller" else tuple(self._offered)
            raise ToolError(
                f"There is no tool {request.tool[:80]!r}; there are {', '.join(valid)}.", code="unknown_tool"
            )
        return Running(tool, _params(tool, request.arguments), self._place.owner)

    def _succeeded(self, result: Any) -> Succeeded:
        data = msgspec.to_builtins(result)
        return Succeeded(data=data, content=show(data, self._result_bytes))

    async def _close(self, execution_id: UUID, outcome: Succeeded | Failed, seconds: float) -> None:
        written = Outcome(
            execution_id=execution_id,
            data=None if isinstance(outcome, Failed) else outcome.data,
            error=outcome.error if isinstance(outcome, Failed) else "",
            code=outcome.code if isinstance(outcome, Failed) else None,
            ended=timezone.now(),
            duration_ms=round(seconds * 1_000, 3),
        )
        await self._keep(partial(close_execution, written))


def _params(tool: Tool, arguments: str) -> msgspec.Struct:
    """The validated params. Raises `ToolError` (`invalid_params`) with what would be valid."""
    try:
        return msgspec.json.decode(arguments, type=tool.params)
    except msgspec.ValidationError as error:
        fields = ", ".join(tool.params.__struct_fields__)
        raise ToolError(f"{error}. {tool.name} takes: {fields}.", code="invalid_params") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ToolError(f"The arguments are not a JSON object: {error}.", code="invalid_params") from None
