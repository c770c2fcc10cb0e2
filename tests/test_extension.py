"""A provider and a tool from outside the tree, used through the API, as CONTRIBUTING.md describes them."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, ClassVar

import msgspec
import pytest

from chat.engine.messages import ToolCall, ToolMessage
from chat.engine.model_port import CompletionEvent, CompletionRequest, Finished, Text
from chat.providers.base import Provider, Timeouts
from chat.providers.spec import ProviderSpec
from orchestrator_site.environment.provider_settings import setting
from orchestrator_site.environment.variables import Environment, InvalidSetting
from plugins.setting import Setting, Values
from tests.conftest import Start
from tools.base import tool
from tools.registry import Registry

TIMEOUTS = Timeouts(connect=1, first_byte=1, idle=1)


class Parrot(Provider):
    """A provider that calls `weather.today`, and then repeats the result."""

    name: ClassVar[str] = "parrot"
    supports_tools: ClassVar[bool] = True

    def __init__(self, greeting: str, default_model: str) -> None:
        self.default_model = default_model
        self._greeting = greeting

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        match request.messages[-1]:
            case ToolMessage(content=content):
                sky = msgspec.json.decode(content)["sky"]
                yield Text.of(f"{self._greeting}: {sky}")
                yield Finished(reason="stop")
            case _:
                yield ToolCall(call_id="c1", name="weather.today", arguments='{"city": "Oslo"}')
                yield Finished(reason="tool_calls")

    def context_tokens(self, model: str) -> int:
        return 1_000

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)


def _make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    return Parrot(values["PARROT_GREETING"], default_model)


SPEC = ProviderSpec(
    name="parrot",
    settings=(
        Setting(name="PARROT_GREETING", kind="text", default="Hello"),
        Setting(name="PARROT_LEGS", kind="integer", default=2, minimum=1, maximum=2),
    ),
    make=_make,
    missing=lambda values: "" if values["PARROT_GREETING"] else "PARROT_GREETING is not set",
    default_model="parrot-1",
    has_model=lambda _, model: model.startswith("parrot"),
)


async def today(*, city: Annotated[str, msgspec.Meta(description="The name of a city.")]) -> dict[str, Any]:
    """Return today's weather in a city."""
    return {"city": city, "sky": "blue"}


def values_of(**variables: str) -> Values:
    environment = Environment(variables)
    return {each.name: setting(environment, each) for each in SPEC.settings}


async def test_a_provider_and_a_tool_from_outside_are_used_through_the_api(start: Start) -> None:
    values = values_of(PARROT_GREETING="Good morning")
    assert SPEC.missing(values) == ""
    provider = SPEC.make(values, SPEC.default_for(values, "parrot-2"), TIMEOUTS)
    api = await start(provider, tools=Registry([tool("weather.today", "read", today)]))
    answer = await api.ask(message="How is the weather?")
    events = answer.events
    assert [event["type"] for event in events if event["type"] != "usage"][:4] == [
        "start",
        "tool_call",
        "tool_result",
        "token",
    ]
    assert "".join(event["token"] for event in events if event["type"] == "token") == "Good morning: blue"


def test_the_settings_of_a_spec_are_read_and_bounded() -> None:
    assert values_of() == {"PARROT_GREETING": "Hello", "PARROT_LEGS": 2}
    with pytest.raises(InvalidSetting, match="a whole number from 1 to 2"):
        values_of(PARROT_LEGS="3")


def test_a_default_model_of_another_provider_is_replaced() -> None:
    assert SPEC.default_for(values_of(), "gpt-9") == "parrot-1"
    assert SPEC.default_for(values_of(), "parrot-2") == "parrot-2"
