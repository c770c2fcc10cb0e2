"""The effort of Claude's reasoning, in the form that each generation of models takes.

https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
https://platform.claude.com/docs/en/build-with-claude/effort
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from chat.engine.model_port import CompletionRequest, SamplingOptions
from chat.providers.anthropic.blocks import SIGNED, Json

MODEL: Final = re.compile(r"claude-(?:([a-z]+)-)?(\d+)(?:[-.](\d{1,2})(?!\d))?")
Generation = tuple[int, int]

FIRST_THINKING: Final = (3, 7)
FIRST_ADAPTIVE: Final = (4, 6)
FIRST_XHIGH: Final = (4, 7)
"""The first generation with the effort `xhigh`, without other sampling options, and with thinking shown on request."""

FIRST_ALWAYS_ADAPTIVE: Final = (5, 0)
FIRST_BETWEEN_TOOLS: Final = (5, 5)
"""The first generation whose thinking between calls cannot be switched off, and which cannot be forced to call."""

FIRST_FREE_FABLE: Final = (5, 1)

ALWAYS_THINKING: Final = frozenset({"fable", "mythos"})

BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
}
"""The tokens of reasoning for models that take a budget instead of an effort."""

MIN_BUDGET: Final = 1_024


def efforts(model: str) -> tuple[str, ...]:
    """Return the values of `reasoning_effort` that a model takes."""
    family, generation = _known(model)
    if generation is None:
        # Other services with this API take a budget.
        return ("none", *BUDGETS)
    if generation < FIRST_THINKING:
        return ()
    if generation < FIRST_ADAPTIVE:
        return ("none", *BUDGETS)
    always = family in ALWAYS_THINKING or (family == "opus" and generation >= FIRST_BETWEEN_TOOLS)
    highest = ("high", "xhigh") if generation >= FIRST_XHIGH else ("high",)
    return (*(() if always else ("none",)), "low", "medium", *highest)


def problem(model: str, sampling: SamplingOptions) -> str:
    """Return why a model does not take the effort and the options beside it, or nothing."""
    family, generation = _known(model)
    generation = generation or (0, 0)
    effort, valid = sampling.reasoning_effort, efforts(model)
    if effort is not None and effort not in valid:
        takes = f"takes the reasoning_effort {', '.join(valid)}" if valid else "has no reasoning_effort"
        return f"{model[:80]} {takes}."
    # Thinking has its own sampling, and a forced call leaves no room for it. Newer models always refuse both.
    reasons = effort not in {None, "none"}
    beside = " with a reasoning_effort" if reasons else ""
    samples_itself = generation >= FIRST_XHIGH
    chooses_itself = generation >= (FIRST_FREE_FABLE if family in ALWAYS_THINKING else FIRST_BETWEEN_TOOLS)
    if sampling.temperature not in {None, 1} and (reasons or samples_itself):
        return f"{model[:80]} takes no temperature except 1{beside}."
    if sampling.top_p not in {None, 1} and samples_itself:
        return f"{model[:80]} takes no top_p except 1."
    if sampling.tool_choice not in {None, "auto", "none"} and (reasons or chooses_itself):
        return f"{model[:80]} takes the tool_choice auto or none{beside}."
    return ""


def thinking(request: CompletionRequest, max_tokens: int, sent: Sequence[Json]) -> Json:
    """Return the fields of a request's body for its effort, and for reasoning that is shown."""
    effort = request.sampling.reasoning_effort
    _, generation = _known(request.model)
    if generation is None or generation < FIRST_ADAPTIVE:
        return _budget(effort, max_tokens, sent) if effort else {}
    if effort == "none":
        return {"thinking": {"type": "between_tools" if generation >= FIRST_BETWEEN_TOOLS else "disabled"}}
    if effort is None and (not request.shows_reasoning or generation < FIRST_ALWAYS_ADAPTIVE):
        return {}
    form: Json = {"type": "adaptive"}
    if request.shows_reasoning and generation >= FIRST_XHIGH:
        form["display"] = "summarized"
    return {"thinking": form} | ({"output_config": {"effort": effort}} if effort else {})


def _budget(effort: str, max_tokens: int, sent: Sequence[Json]) -> Json:
    """Return a budget that leaves a quarter of the answer for its text, or nothing if there is too little room."""
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    budget = min(BUDGETS[effort], max_tokens * 3 // 4)
    if budget < MIN_BUDGET or not _may_think(sent):
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _may_think(sent: Sequence[Json]) -> bool:
    """Return whether thinking may be on: a turn that began without it, or lost it, cannot continue with it."""
    # A turn begins with the first answer after the user's own message, and its results are part of it.
    first: Json | None = None
    for message in sent:
        if message["role"] == "assistant":
            first = first or message
        elif any(block["type"] != "tool_result" for block in message["content"]):
            first = None
    return first is None or first["content"][0]["type"] in SIGNED


def _known(model: str) -> tuple[str, Generation | None]:
    """Return the family and the generation in a model's name; no generation if the model is not a Claude."""
    found = MODEL.search(model)
    return (found[1] or "", (int(found[2]), int(found[3] or 0))) if found else ("", None)
