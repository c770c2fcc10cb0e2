"""The provider `parrot`, which repeats the newest message."""

from collections.abc import AsyncGenerator
from typing import ClassVar

from chat.engine.messages import UserMessage
from chat.engine.model_port import CompletionEvent, CompletionRequest, Finished, Text, TokensUsed
from chat.providers.base import Provider, Timeouts
from chat.providers.spec import ProviderSpec
from plugins.setting import Setting, Values


class Parrot(Provider):
    """A provider that needs no service."""

    name: ClassVar[str] = "parrot"

    def __init__(self, greeting: str, default_model: str) -> None:
        self.default_model = default_model
        self._greeting = greeting

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        message = next(entry.text for entry in reversed(request.messages) if isinstance(entry, UserMessage))
        # One item holds the tokens that arrived together.
        yield Text.of(self._greeting, " ", message)
        yield TokensUsed(input_tokens=len(message.split()), output_tokens=len(message.split()) + 1)
        yield Finished(reason="stop")

    def context_tokens(self, model: str) -> int:
        return 8_192

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)


def make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    """Return the provider."""
    return Parrot(values["PARROT_GREETING"], default_model)


SPEC = ProviderSpec(
    name="parrot",
    settings=(Setting(name="PARROT_GREETING", kind="text", default="Squawk:"),),
    make=make,
    missing=lambda _: "",
    is_free=True,
    default_model="parrot-1",
)
