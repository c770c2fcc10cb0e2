"""What is counted of a run, for Prometheus."""

from typing import Final, get_args

from chat.engine.events import Usage
from chat.engine.model_port import ErrorCode
from chat.engine.retry import Candidate
from chat.runs.live.outcome import Ending
from telemetry import metrics

OF_PROVIDERS: Final = frozenset(get_args(ErrorCode))


def record_call(asked: Candidate | None, usage: Usage) -> None:
    """A call of a model has ended, and taken this. Where its service did not say so, its name may be any."""
    if asked is not None:
        metrics.used(
            asked.provider.name,
            asked.model,
            answered=not usage.estimated,
            cost=usage.cost_usd,
            input=usage.input_tokens,
            output=usage.output_tokens,
            cached=usage.cached_tokens,
            reasoning=usage.reasoning_tokens,
        )


def record_end(ending: Ending, asked: Candidate | None, seconds: float) -> None:
    """A run has ended, after so many seconds here; a failure of the model's is that of whoever was asked last."""
    metrics.run_ended(ending.status, ending.reason, seconds)
    if asked is not None and ending.reason in OF_PROVIDERS:
        metrics.provider_errors.add(asked.provider.name, ending.reason)
