"""What every provider is: an adapter from one service's bytes to the engine's completion events."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import ClassVar, Final

import msgspec

from chat.engine.model_port import CompletionEvent, CompletionRequest
from tools.base import ToolSpec

MAX_OFFERS: Final = 64
"""Sets of tools of which it is remembered how services are told of them: there is one for each kind of caller."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to wait for a connection, for an answer's first byte, and between two of its bytes."""

    connect: float
    first_byte: float
    idle: float


class Provider(ABC):
    """One service with its models.

    The flags say what it can take; they are checked once, before a run starts. `default_model` serves where the
    caller names none. A provider is made once a process, inside its event loop, and serves many streams at once.
    """

    name: ClassVar[str]
    supports_tools: ClassVar[bool] = False
    supports_images: ClassVar[bool] = False

    default_model: str

    @abstractmethod
    def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        """Streams one answer; closing the generator stops the upstream call. Raises `ProviderError` alone."""

    def has_model(self, model: str) -> bool:
        """Whether the provider may have a model of this name; where only its service knows, yes."""
        return bool(model)

    @abstractmethod
    def context_tokens(self, model: str) -> int:
        """How many tokens the model takes, its answer included."""

    @abstractmethod
    async def models(self) -> tuple[str, ...]:
        """The models to choose from, the default first. Raises `ProviderError`."""

    async def warm_up(self) -> None:
        """Does now what the first request would wait for (loading a model). Raises `ProviderError`."""

    async def close(self) -> None:
        """Ends open connections and threads. The provider is not used afterwards."""


@lru_cache(maxsize=MAX_OFFERS)
def wire_names(tools: tuple[ToolSpec, ...]) -> Mapping[str, str]:
    """The tools' names as services allow them (no dots), each with the registry's own: `{"fs_read": "fs.read"}`."""
    return {wire_name(tool.name): tool.name for tool in tools}


def wire_name(name: str) -> str:
    return name.replace(".", "_")


class Silence:
    """Calls `expired` when nothing was `heard` for a number of seconds. One timer, however much is heard."""

    def __init__(self, seconds: float, expired: Callable[[], None]) -> None:
        self.seconds = seconds
        self.over = False
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._check)

    def heard(self) -> None:
        self._heard = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        left = self._heard + self.seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        else:
            self.over = True
            self._expired()
