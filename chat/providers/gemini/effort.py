"""The effort of Gemini's reasoning, as a level or a budget: https://ai.google.dev/gemini-api/docs/thinking."""

import re
from collections.abc import Mapping
from typing import Final

from google.genai import types

from chat.engine.model_port import CompletionRequest

MODEL: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
NEWEST: Final = (3, 1)
"""The generation that a name without one, such as `gemini-flash-latest`, stands for at least."""

FIRST_LEVELS: Final = (3, 0)
FIRST_BUDGETS: Final = (2, 5)

# The values are those of Google's own translation: https://ai.google.dev/gemini-api/docs/openai#thinking.
BUDGETS: Final[Mapping[str, int]] = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
LEVELS: Final = ("minimal", "low", "medium", "high")
PRO: Final = {FIRST_LEVELS: ("low", "high")}
"""The levels of models named `pro` that differ from those of later ones."""


def efforts(model: str) -> tuple[str, ...]:
    """Return the values of `reasoning_effort` that a model takes; none if it does not reason."""
    generation = _generation(model)
    if generation >= FIRST_LEVELS:
        return PRO.get(generation, LEVELS[1:]) if "pro" in model else LEVELS
    if generation >= FIRST_BUDGETS:
        return tuple(BUDGETS)[1:] if "pro" in model else tuple(BUDGETS)
    return ()


def thinking_config(request: CompletionRequest) -> types.ThinkingConfig | None:
    """Return the configuration for a request's effort, and for reasoning that is shown."""
    effort = request.sampling.reasoning_effort
    # The service rejects a request for the thoughts of a model that has none.
    shown = True if request.shows_reasoning and effort != "none" and efforts(request.model) else None
    if effort is None:
        return types.ThinkingConfig(include_thoughts=True) if shown else None
    if _generation(request.model) >= FIRST_LEVELS:
        return types.ThinkingConfig(include_thoughts=shown, thinking_level=types.ThinkingLevel(effort.upper()))
    return types.ThinkingConfig(include_thoughts=shown, thinking_budget=BUDGETS[effort])


def _generation(model: str) -> tuple[int, int]:
    if found := MODEL.search(model):
        return int(found[1]), int(found[2] or 0)
    return NEWEST if "gemini" in model else (0, 0)
