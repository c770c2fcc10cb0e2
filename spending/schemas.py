"""The schemas of the API of usage."""

from datetime import date

from web.schemas import Answer


class SumsOut(Answer):
    """Sums over calls."""

    calls: int
    """The number of calls of models, or of tools."""
    failed: int
    """Calls that failed."""
    estimated: int
    """Calls whose tokens the service estimated, because no provider reported them."""
    unpriced: int
    """Calls whose price is not known. `cost_usd` leaves them out."""
    input_tokens: int
    """Tokens that the models read, cached ones included."""
    output_tokens: int
    """Tokens that the models wrote, reasoning included."""
    cached_tokens: int
    """Input tokens that the providers had in their caches."""
    reasoning_tokens: int
    """Output tokens of the models' reasoning."""
    milliseconds: int
    """The milliseconds that tools ran. 0 for models."""
    cost_usd: float
    """The cost in USD of the calls whose price is known."""


class UsageRow(SumsOut):
    """A group's sums, and the fields that it is grouped by. The other fields of groups are absent."""

    day: date | None = None
    """The day in UTC, when grouped by `day`."""
    owner: str | None = None
    """The owner of the calls, such as `user:7` or `operator`, when grouped by `key`."""
    key: str | None = None
    """The id of the key, or `operator`, when grouped by `key`."""
    name: str | None = None
    """The name of the key, when grouped by `key`."""
    provider: str | None = None
    """The provider, when grouped by `model`."""
    model: str | None = None
    """The model, when grouped by `model`."""
    tool: str | None = None
    """The tool, when grouped by `tool`."""


class UsageList(Answer):
    """The usage of the period: at most 1,000 groups, and the total of all."""

    items: list[UsageRow]
    """The groups: the newest days first, other groups the most expensive first."""
    count: int
    """The number of groups in `items`."""
    total: SumsOut
    """The sums of all calls of the period."""
