"""The token counts of Anthropic's answers: https://docs.anthropic.com/en/api/messages#response-usage."""

from typing import Any, Final

import msgspec

from chat.engine.model_port import TokensUsed

INPUT: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
"""The parts of the input, which the service counts beside each other."""


class UsageReport:
    """The counts of one answer. A later count replaces an earlier one, except with zero or nothing.

    `before` has those of the requests after which the service paused.
    """

    def __init__(self, before: "UsageReport | None" = None) -> None:
        self._before = before
        self._counts = dict.fromkeys((*INPUT, "output_tokens", "thinking_tokens"), 0)

    @property
    def counts(self) -> dict[str, int]:
        before = self._before.counts if self._before else {}
        return {name: count + before.get(name, 0) for name, count in self._counts.items()}

    def note(self, usage: Any) -> None:
        """Take a `usage` object. Whatever is not a count is ignored: usage never fails an answer."""
        fields = usage if isinstance(usage, dict) else {}
        details = fields.get("output_tokens_details")
        fields = {**(details if isinstance(details, dict) else {}), **fields}
        for name, before in self._counts.items():
            self._counts[name] = _count(fields.get(name)) or before

    def note_start(self, usage: Any) -> None:
        """Take the `usage` at the start of an answer, whose output is not that of the whole answer."""
        self.note(usage)
        self._counts["output_tokens"] = 0

    def tokens(self) -> TokensUsed | None:
        """Return the tokens of the answer, or None if the service counted nothing. A count of 0 is an unknown one."""
        counts = self.counts
        if not any(counts.values()):
            return None
        return TokensUsed(
            input_tokens=sum(counts[name] for name in INPUT),
            output_tokens=counts["output_tokens"],
            cached_tokens=counts["cache_read_input_tokens"],
            cache_write_tokens=counts["cache_creation_input_tokens"],
            reasoning_tokens=counts["thinking_tokens"],
        )


def _count(value: Any) -> int:
    """Return a number, or a text with one, as a count; 0 for anything else."""
    try:
        return max(0, msgspec.convert(value, int, strict=False))
    except msgspec.ValidationError:
        return 0
