"""The schemas of the API of usage."""

from datetime import date

from ninja import Schema


class SumsOut(Schema):
    """Sums over calls. `cost_usd` leaves out the `unpriced` ones, whose price is not known.

    `estimated` ones have tokens that their service did not count. `milliseconds` are those of tools.
    """

    calls: int
    failed: int
    estimated: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    milliseconds: int
    cost_usd: float


class UsageRow(SumsOut):
    """A group's sums, and the fields that it is grouped by."""

    day: date | None = None
    owner: str | None = None
    key: str | None = None
    name: str | None = None
    provider: str | None = None
    model: str | None = None
    tool: str | None = None


class UsageList(Schema):
    items: list[UsageRow]
    count: int
    total: SumsOut
