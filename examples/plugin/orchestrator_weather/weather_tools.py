"""The tools `weather.today` and `weather.note`."""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from plugins.setting import Setting, Values
from tools.base import Execution, Tool, ToolError, tool
from tools.plugins.spec import ToolsSpec
from tools.workspace import Workspace

SKIES = {"oslo": "snow", "rome": "sun"}

City = Annotated[str, msgspec.Meta(min_length=1, max_length=80, description="The name of a city.")]


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """The weather of a city. `station` is where it was measured."""

    city: str
    sky: str
    station: str


async def today(station: str, execution: Execution, /, *, city: City) -> Weather:
    """Return today's weather in a city."""
    await execution.emit("stdout", f"asking {station}\n")
    sky = SKIES.get(city.lower())
    if sky is None:
        raise ToolError(f"There is no weather for {city!r}; there is for {', '.join(SKIES)}.", code="not_found")
    return Weather(city=city, sky=sky, station=station)


async def note(
    workspace: Workspace, /, *, path: Annotated[str, msgspec.Meta(description="The file.")], city: City
) -> str:
    """Write the weather of a city into a file of the workspace."""
    # The workspace is confined, and records the change so that it can be undone.
    workspace.write(path, f"{city}: {SKIES.get(city.lower(), 'unknown')}\n".encode())
    return path


def make(values: Values, workspace: Workspace) -> Iterable[Tool]:
    """Return the tools of a workspace."""
    yield tool("weather.today", "read", today, values["WEATHER_STATION"])
    yield tool("weather.note", "write", note, workspace)


TOOLS = ToolsSpec(
    make=make,
    settings=(
        Setting(name="WEATHER_STATION", kind="text", default="the roof"),
        # A secret is masked in results, rows and log lines.
        Setting(name="WEATHER_KEY", kind="secret"),
    ),
)
