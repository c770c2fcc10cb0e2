"""The Prometheus metrics of a run."""

from typing import Final, get_args

from chat.engine.events import Usage
from chat.engine.model_port import ErrorCode
from chat.engine.retry import Candidate
from chat.runs.live.outcome import Ending
from telemetry import metrics

PROVIDER_ERRORS: Final = frozenset(get_args(ErrorCode))


def record_call(candidate: Candidate | None, usage: Usage) -> None:
    """Count the tokens and the cost of a model call."""
    if candidate is not None:
        metrics.used(
            candidate.provider.name,
            candidate.model,
            # Without a reported usage the service may not know the model at all: its name may be any text of a caller.
            answered=not usage.estimated,
            cost=usage.cost_usd,
            input=usage.input_tokens,
            output=usage.output_tokens,
            cached=usage.cached_tokens,
            reasoning=usage.reasoning_tokens,
        )


def record_end(ending: Ending, candidate: Candidate | None, seconds: float) -> None:
    """Count a run that ended after `seconds`. A model's failure counts for the provider called last."""
    metrics.run_ended(ending.status, ending.reason, seconds)
    if candidate is not None and ending.reason in PROVIDER_ERRORS:
        metrics.provider_errors.add(candidate.provider.name, ending.reason)
