"""The finish reasons of OpenAI-compatible services. A reason that is not listed is a failed answer."""

from collections.abc import Mapping
from typing import Final

from chat.engine.model_port import FinishReason

MEANINGS: Final[Mapping[FinishReason, tuple[str, ...]]] = {
    "stop": ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "end", "complete", "completed"),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
    "length": ("length", "max_tokens", "model_length", "max_length", "max_output_tokens", "token_limit"),
    "content_filter": (
        "content_filter",
        "content_filtered",
        "safety",
        "sensitive",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "refusal",
        "guardrail_intervened",
    ),
}
REASONS: Final[Mapping[str, FinishReason]] = {word: reason for reason, words in MEANINGS.items() for word in words}


def finish_reason(word: str) -> FinishReason | None:
    """Return the meaning of a service's finish reason, or None if the answer failed."""
    return REASONS.get(word.strip().lower())
