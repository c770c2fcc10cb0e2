"""The schemas of the API of usage."""

from datetime import date

from ninja import Field, Schema


class SumsOut(Schema):
    """Sums over calls."""

    calls: int = Field(description="The number of calls of models, or of tools.")
    failed: int = Field(description="Calls that failed.")
    estimated: int = Field(description="Calls whose tokens the service estimated, because no provider reported them.")
    unpriced: int = Field(description="Calls whose price is not known. `cost_usd` leaves them out.")
    input_tokens: int = Field(description="Tokens that the models read, cached ones included.")
    output_tokens: int = Field(description="Tokens that the models wrote, reasoning included.")
    cached_tokens: int = Field(description="Input tokens that the providers had in their caches.")
    reasoning_tokens: int = Field(description="Output tokens of the models' reasoning.")
    milliseconds: int = Field(description="The milliseconds that tools ran. 0 for models.")
    runs: int = Field(description="Runs that ended. Each counts for the last model that it asked. 0 for tools.")
    run_milliseconds: int = Field(
        description="The milliseconds of runs without their waiting for approvals and clients. 0 for tools."
    )
    first_tokens: int = Field(description="Runs, and continuations of runs, with at least one token. 0 for tools.")
    first_token_milliseconds: int = Field(
        description="The sum of their milliseconds from the start or continuation to the first token. 0 for tools."
    )
    cost_usd: float = Field(description="The cost in USD of the calls whose price is known.")


class UsageRow(SumsOut):
    """A group's sums, and the fields that it is grouped by. The other fields of groups are absent."""

    day: date | None = Field(None, description="The day in UTC, when grouped by `day`.")
    owner: str | None = Field(
        None, description="The owner of the calls, such as `user:7` or `operator`, when grouped by `key`."
    )
    key: str | None = Field(None, description="The id of the key, or `operator`, when grouped by `key`.")
    name: str | None = Field(None, description="The name of the key, when grouped by `key`.")
    provider: str | None = Field(None, description="The provider, when grouped by `model`.")
    model: str | None = Field(None, description="The model, when grouped by `model`.")
    tool: str | None = Field(None, description="The tool, when grouped by `tool`.")


class UsageList(Schema):
    """The usage of the period: at most 1,000 groups, and the total of all."""

    items: list[UsageRow] = Field(
        description="The groups: the newest days first, other groups the most expensive first."
    )
    count: int = Field(description="The number of groups in `items`.")
    total: SumsOut = Field(description="The sums of all calls of the period.")
