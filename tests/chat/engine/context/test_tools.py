"""The tools in a context that has no room for all of them."""

from chat.engine.context.tools import WRAPPING_TOKENS, ToolSearch, tools_in_context
from chat.engine.context.window import text_tokens, tool_tokens
from chat.engine.messages import AssistantMessage, ToolCall, UserMessage
from tools.base import ToolSpec

ASSISTANT = AssistantMessage(text="", tool_calls=(ToolCall(call_id="c", name="a.90", arguments="{}"),))


def spec(name: str, size: int = 90, *, by_client: bool = False) -> ToolSpec:
    return ToolSpec(name=name, description="x" * size, parameters={}, by_client=by_client)


TOOLS = (
    *(spec(f"a.{number}") for number in range(100)),
    spec("a.large", 90_000),
    spec("output.read"),
    spec("tools.search"),
    spec("client", by_client=True),
)


def names(*best: str, found: tuple[str, ...] = (), history: tuple[AssistantMessage, ...] = ()) -> list[str]:
    search = ToolSearch(best=best, max_tokens=500)
    entries = (UserMessage(text="Hi"), *history)
    return [tool.name for tool in tools_in_context(TOOLS, search, found, entries, text_tokens)]


def test_tools_fill_the_room_and_no_more() -> None:
    shown = names()
    sizes = {tool.name: tool_tokens(tool, text_tokens) + WRAPPING_TOKENS for tool in TOOLS if not tool.by_client}
    used = sum(sizes[name] for name in shown if name != "client")
    assert 500 - min(sizes.values()) < used <= 500


def test_search_paging_and_tools_of_the_client_are_always_offered() -> None:
    assert names("a.50")[-3:] == ["output.read", "tools.search", "client"]


def test_best_matches_come_before_others() -> None:
    assert {"a.50", "a.60"} <= set(names("a.50", "a.60"))
    assert "a.50" not in names()


def test_found_and_recently_called_tools_come_before_best_matches() -> None:
    best = tuple(f"a.{number}" for number in range(20, 40))
    shown = names(*best, found=("a.80",), history=(ASSISTANT,))
    assert {"a.80", "a.90"} <= set(shown)
    assert len(shown) == len(names())


def test_newest_found_tool_is_offered_whatever_its_size() -> None:
    assert "a.large" in names(found=("a.3", "a.large"))
    assert "a.large" not in names("a.large", found=("a.large", "a.3"))


def test_order_is_that_of_the_tools() -> None:
    shown = names("a.60", "a.2", found=("a.70",))
    assert shown == [tool.name for tool in TOOLS if tool.name in shown]


def test_unknown_names_are_passed_over() -> None:
    assert names("nothing", found=("gone",)) == names()
