"""The limits of Anthropic's models, in tokens: https://docs.anthropic.com/en/docs/about-claude/models."""

from typing import Final

from chat.engine.model_port import SamplingOptions
from chat.pricing.vendors import context_window

CONTEXT_TOKENS: Final = 200_000
"""The context of a model that the public data does not have."""

DEFAULT_OUTPUT: Final = 32_000
"""The longest answer if the caller names no length, which the service requires."""

MAX_OUTPUT: Final = (
    ("claude-3-5", 8_192),
    ("claude-3-7", 64_000),
    ("claude-3", 4_096),
    ("claude-2", 4_096),
    ("claude-opus-4-0", 32_000),
    ("claude-opus-4-1", 32_000),
    ("claude-opus-4-2", 32_000),
)
"""The longest answers, by the beginning of a model's name. The service refuses more. The first that matches counts."""


def context_tokens(model: str) -> int:
    """Return the context of a model, including its answer."""
    return context_window("anthropic", model) or CONTEXT_TOKENS


def max_tokens(model: str, sampling: SamplingOptions) -> int:
    """Return the length of an answer to ask for."""
    tokens = sampling.max_output_tokens or min(DEFAULT_OUTPUT, context_tokens(model) // 4)
    known = next((most for start, most in MAX_OUTPUT if model.startswith(start)), tokens)
    return min(tokens, known)
