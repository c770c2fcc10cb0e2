"""The base class of providers: adapters from one service's bytes to the engine's completion events."""

import asyncio
import re
import secrets
import string
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import ClassVar, Final, Literal

import msgspec

from chat.engine.model_port import CompletionEvent, CompletionRequest, SamplingOptions
from tools.base import ToolSpec
from tools.registry import wire_name

MAX_OFFERS: Final = 64
"""The sets of tools whose encoded form is cached. Each kind of caller has one."""

LARGEST_CONTEXT: Final = 10_000_000
"""The largest context of any public model, in tokens: that of Llama 4 Scout."""

CONTROL_TOKENS: Final = re.compile(r"^(?:<\|[^<>]*\|>\s*)+|<\|.*", re.DOTALL)
NAMESPACE: Final = re.compile(r"^(?:to=)?(?:functions?|tools?|default_api)[.:/]|:\d+$")
ID_CHARACTERS: Final = string.ascii_letters + string.digits


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The seconds to wait for a connection, for an answer's first byte, and between two of its bytes."""

    connect: float
    first_byte: float
    idle: float


Capability = Literal["tools", "images", "schemas"]


class Provider(ABC):
    """One service with its models.

    The flags are its capabilities, which are checked once, before a run starts. `default_model` is used if the caller
    names none. A provider is made once in a process, inside its event loop, and serves many streams concurrently.
    """

    name: str
    supports_tools: ClassVar[bool] = False
    supports_images: ClassVar[bool] = False
    supports_schemas: ClassVar[bool] = False
    options: ClassVar[frozenset[str]] = frozenset({"max_output_tokens", "temperature"})
    """The names of the options of `SamplingOptions` that the provider has."""

    default_model: str

    @abstractmethod
    def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        """Stream one answer. Closing the generator stops the upstream call. Raise only `ProviderError`."""

    def has_model(self, model: str) -> bool:
        """Return whether the provider may have a model of this name."""
        # Usually only the service knows its models, and rejects an unknown one.
        return bool(model)

    def supports(self, model: str, what: Capability) -> bool:
        """Return whether the model can call tools, reads pictures, or takes the schema of its answer."""
        return {"tools": self.supports_tools, "images": self.supports_images, "schemas": self.supports_schemas}[what]

    def takes_field(self, name: str) -> bool:
        """Return whether a request may set this field of the service's own, in `extra_body`."""
        return False

    def option_problem(self, model: str, sampling: SamplingOptions) -> str:
        """Return a sentence on values of options that the model does not take, or nothing."""
        return ""

    def warning(self) -> str:
        """Return what an operator should know of the provider, or nothing."""
        return ""

    @abstractmethod
    def context_tokens(self, model: str) -> int:
        """Return the size of the model's context in tokens, including its answer."""

    def max_context_tokens(self, model: str) -> int:
        """Return the largest context that the model can have: a longer message is certain to be refused."""
        return LARGEST_CONTEXT

    @abstractmethod
    async def models(self) -> tuple[str, ...]:
        """Return the available models, the default first. Raise `ProviderError`."""

    async def warm_up(self) -> None:
        """Do what the first request would wait for, such as loading a model. Raise `ProviderError`."""

    async def close(self) -> None:
        """Close connections and threads. The provider is not used afterwards."""


@lru_cache(maxsize=MAX_OFFERS)
def wire_names(tools: tuple[ToolSpec, ...]) -> Mapping[str, str]:
    """Return the registry's name of each tool by its wire name: `{"fs_read": "fs.read"}`."""
    return {wire_name(tool.name): tool.name for tool in tools}


def tool_name(written: str, names: Mapping[str, str]) -> str:
    """Return the registry's name for a name as a model wrote it, or the name itself if there is no such tool."""
    # Services leave the control tokens of a model's format in the name, or the namespace in which it saw the tools.
    plain = CONTROL_TOKENS.sub("", written.strip()).strip().strip("\"'`")
    for name in (plain, NAMESPACE.sub("", plain)):
        if name in names:
            return names[name]
        if wire_name(name) in names and name == names[wire_name(name)]:
            return name
    return written


def new_call_id() -> str:
    """Return an id for a call whose service gave none. Nine letters and digits are what every service takes."""
    return "".join(secrets.choice(ID_CHARACTERS) for _ in range(9))


class Silence:
    """Calls `expired` when nothing was received for a number of seconds. `note` restarts the time."""

    # There is one timer, which checks the time of the newest reception. Restarting a timer for every token costs more.

    def __init__(self, seconds: float, expired: Callable[[], None]) -> None:
        self.seconds = seconds
        self.over = False
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._received = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._check)

    def note(self) -> None:
        """Note that something was received now."""
        self._received = self._loop.time()

    def restart(self, seconds: float) -> None:
        """Begin to wait again, now for another number of seconds."""
        self.stop()
        self.seconds = seconds
        self.note()
        self._timer = self._loop.call_later(seconds, self._check)

    def stop(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        left = self._received + self.seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        else:
            self.over = True
            self._expired()
