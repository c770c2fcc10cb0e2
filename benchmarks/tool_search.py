"""The quality and the cost of the search among many tools: `uv run python -m benchmarks.tool_search`.

500 tools of 25 invented services are made from `questions/tools.toml`, and `questions/tools.tsv` names a tool for each
of 100 questions. A tool counts as found if it is offered with the question, or by a search for its words. Tokens are
counted by the local model, which reads the tools in the form that OpenAI's API takes. It takes about a minute.
"""

import asyncio
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from chat.engine.context.tools import MAX_BEST, ToolSearch, tools_in_context
from chat.engine.messages import UserMessage
from chat.engine.model_port import CompletionRequest, SamplingOptions, TokensUsed
from chat.pricing.tokenizer import count
from chat.providers.local.provider import Local
from tools.base import ToolSpec
from tools.registry import wire_name
from tools.tool_search import search_tool
from tools.tool_search.index import ToolIndex

QUESTIONS: Final = Path(__file__).parent / "questions"
MAX_TOKENS: Final = 1_500
"""The default of TOOL_SEARCH_TOKENS."""

CONTEXT_TOKENS: Final = 8_192
ASKED: Final = 10
"""Questions whose requests the local model reads."""

VERBS: Final = {
    "create": ("Create, add, make, send, book or start", {"fields": "The fields of the new one."}),
    "list": ("List, find or search all of a kind", {"query": "Words to find.", "limit": "Maximum number."}),
    "get": ("Get, show or look up", {"id": "The ID of the one to get."}),
    "update": ("Update, change or set", {"id": "The ID of the one to change.", "fields": "The new values."}),
    "delete": ("Delete, remove or cancel", {"id": "The ID of the one to delete."}),
}


def main() -> None:
    """Print the figures."""
    specs = (*tools(), *(tool.spec for tool in search_tool.tools()))
    lines = (QUESTIONS / "tools.tsv").read_text().splitlines()
    questions = [(f"mcp.{name}", question) for name, question in (line.split("\t") for line in lines)]
    began = time.perf_counter()
    index = ToolIndex(specs)
    made = time.perf_counter() - began
    offers = {question: offered(specs, index, question) for _, question in questions}
    times, missed = list[float](), list[str]()
    with_question = searched = 0
    for name, question in questions:
        began = time.perf_counter()
        found = [spec.name for spec in index.search(question, search_tool.DEFAULT_RESULTS + 1)]
        times.append(time.perf_counter() - began)
        is_offered = any(spec.name == name for spec in offers[question])
        is_found = name in [other for other in found if other != search_tool.NAME][: search_tool.DEFAULT_RESULTS]
        with_question += is_offered
        searched += is_found
        if not is_offered and not is_found:
            missed.append(f"{name}: {question}")
    top = search_tool.DEFAULT_RESULTS
    print(f"{len(specs) - 1} tools, {len(questions)} questions")
    print(f"offered with the question: {with_question}; among the {top} of a search: {searched}")
    print(f"found by either: {len(questions) - len(missed)}")
    print(f"the index is made in {made * 1e3:.1f} ms")
    print(f"a search takes {median(times) * 1e3:.2f} ms, at most {max(times) * 1e3:.2f} ms")
    asked = [question for _, question in questions[:: len(questions) // ASKED]]
    costs = asyncio.run(tokens(asked, offers))
    print(f"tokens of the tools, by the local model: median {median(costs):.0f}, maximum {max(costs)}")
    print("\n".join(["not found:", *missed] if missed else []))


def tools() -> tuple[ToolSpec, ...]:
    """Return the tools of the invented services."""
    services = tomllib.loads((QUESTIONS / "tools.toml").read_text())
    return tuple(
        ToolSpec(
            name=f"mcp.{service}.{verb}_{thing}",
            description=f"{action}: {about}.",
            parameters={
                "type": "object",
                "properties": {name: {"type": "string", "description": text} for name, text in params.items()},
            },
        )
        for service, things in services.items()
        for thing, about in things.items()
        for verb, (action, params) in VERBS.items()
    )


def offered(specs: Sequence[ToolSpec], index: ToolIndex, question: str) -> tuple[ToolSpec, ...]:
    """Return the tools that a model gets with a question."""
    best = tuple(spec.name for spec in index.search(question, MAX_BEST))
    search = ToolSearch(best=best, max_tokens=MAX_TOKENS)
    return tools_in_context(specs, search, (), (UserMessage(text=question),), count)


async def tokens(questions: Sequence[str], offers: dict[str, tuple[ToolSpec, ...]]) -> list[int]:
    """Return the tokens of the tools of each question."""
    model = Local(model_path=None, parallel=1, context_tokens=CONTEXT_TOKENS)
    try:
        empty = await read(model, "")
        return [await read(model, sent(offers[question])) - empty for question in questions]
    finally:
        await model.close()


def sent(specs: Sequence[ToolSpec]) -> str:
    """Return tools as a request has them."""
    functions = [
        {"name": wire_name(spec.name), "description": spec.description, "parameters": spec.parameters} for spec in specs
    ]
    return msgspec.json.encode([{"type": "function", "function": function} for function in functions]).decode()


async def read(model: Local, text: str) -> int:
    """Return the tokens that the model reads for a request with a text."""
    request = CompletionRequest(
        model=model.default_model,
        messages=(UserMessage(text=text),),
        instructions="",
        tools=(),
        sampling=SamplingOptions(max_output_tokens=1),
    )
    used = [event async for event in model.stream(request) if isinstance(event, TokensUsed)]
    return used[-1].input_tokens


if __name__ == "__main__":
    main()
