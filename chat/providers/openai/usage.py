"""The token counts of an OpenAI-compatible service, under the names and in the forms that services use."""

import math
from collections.abc import Mapping
from typing import Any, Final

from chat.engine.model_port import TokensUsed

# The first name is OpenAI's. The others are those of DeepSeek, Moonshot, vLLM and Anthropic.
INPUT: Final = ("prompt_tokens", "input_tokens")
OUTPUT: Final = ("completion_tokens", "output_tokens")
CACHED: Final = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_input_tokens")
INPUT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details")
OUTPUT_DETAILS: Final = ("completion_tokens_details", "output_tokens_details")


class UsageReport:
    """The counts of one answer. A later count replaces an earlier one, except with zero or nothing."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def note(self, usage: Any) -> None:
        """Take a `usage` object. Whatever is not a count is ignored: usage never fails an answer."""
        if not isinstance(usage, dict):
            return
        found = {
            "input": _first(usage, INPUT),
            "output": _first(usage, OUTPUT),
            "total": _first(usage, ("total_tokens",)),
            "cached": max(_first(usage, CACHED), *(_first(_part(usage, name), CACHED) for name in INPUT_DETAILS)),
            "reasoning": max(
                _first(usage, ("reasoning_tokens",)),
                *(_first(_part(usage, name), ("reasoning_tokens",)) for name in OUTPUT_DETAILS),
            ),
        }
        self._counts |= {name: count for name, count in found.items() if count}

    def tokens(self) -> TokensUsed | None:
        """Return the tokens of the answer, or None if the service counted nothing. A count of 0 is an unknown one."""
        counts = self._counts
        if not counts:
            return None
        given, output, total = counts.get("input", 0), counts.get("output", 0), counts.get("total", 0)
        reasoning = counts.get("reasoning", 0)
        # xAI and Gemini count reasoning beside the completion, and only the total contains it.
        beside = total - given - output if given and output else 0
        if not given and total > output > 0:
            given = total - output
        elif given and not output:
            output = max(0, total - given)
        elif beside > 0:
            output += beside
            reasoning = reasoning or beside
        elif reasoning > output:
            output += reasoning
        return TokensUsed(
            input_tokens=given, output_tokens=output, cached_tokens=counts.get("cached", 0), reasoning_tokens=reasoning
        )


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> int:
    for name in names:
        # Most names are missing in each answer.
        if (value := fields.get(name)) and (count := _count(value)):
            return count
    return 0


def _part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = fields.get(name)
    return part if isinstance(part, dict) else {}


def _count(value: Any) -> int:
    """Return a number, or a text with one, as a count; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return 0
    return int(number) if math.isfinite(number) and number > 0 else 0
