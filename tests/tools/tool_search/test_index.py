"""The ranking of tools by the words of a query."""

import sqlite3
from threading import Thread

import pytest

from tools.base import ToolSpec
from tools.tool_search.index import ToolIndex, index_of


def spec(name: str, description: str = "", **params: str) -> ToolSpec:
    properties = {param: {"type": "string", "description": text} for param, text in params.items()}
    return ToolSpec(name=name, description=description, parameters={"type": "object", "properties": properties})


TOOLS = (
    spec("mcp.tracker.createIssue", "Create an issue in a project.", title="The title."),
    spec("mcp.tracker.list_issues", "List the issues of a project.", label="Only issues with this label."),
    spec("mcp.mail.send_message", "Send an email message.", to="The recipients."),
    spec("mcp.weather.forecast", "Forecast the weather of a city for some days.", city="Its name."),
)


def names(query: str, limit: int = 4) -> list[str]:
    return [found.name for found in ToolIndex(TOOLS).search(query, limit)]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("create issue", "mcp.tracker.createIssue"),
        ("creating a new issue about the login", "mcp.tracker.createIssue"),
        ("which issues have the label bug", "mcp.tracker.list_issues"),
        ("SEND MAIL", "mcp.mail.send_message"),
        ("recipients", "mcp.mail.send_message"),
        ("weather tomorrow", "mcp.weather.forecast"),
    ],
)
def test_best_match_is_found_by_name_description_or_params(query: str, best: str) -> None:
    assert names(query)[0] == best


@pytest.mark.parametrize("query", ["", "   ", "???", "zebra", "\x00", '" OR "', "NEAR(", "名前"])
def test_query_without_a_known_word_finds_nothing(query: str) -> None:
    assert names(query) == []


@pytest.mark.parametrize("query", ['issue" OR name:"x', "issue*", "issue AND NOT", "-issue", "(issue", "name:issue"])
def test_syntax_of_a_query_is_taken_for_words(query: str) -> None:
    assert set(names(query)) >= {"mcp.tracker.createIssue", "mcp.tracker.list_issues"}


def test_number_of_results_is_limited() -> None:
    assert len(names("issue message weather", 2)) == 2


def test_very_long_query_uses_its_first_words() -> None:
    assert names("weather " + " ".join(f"word{number}" for number in range(100_000)))[0] == "mcp.weather.forecast"


def test_schemas_without_properties_are_no_fault() -> None:
    odd = ToolSpec(name="a.b", description="Odd.", parameters={"properties": {"x": True, "y": {"items": []}}})
    assert ToolIndex([odd]).search("odd", 1) == (odd,)


def test_index_of_the_same_tools_is_made_once() -> None:
    assert index_of(TOOLS) is index_of(TOOLS)


def test_threads_share_an_index() -> None:
    index, failures = ToolIndex(TOOLS), list[sqlite3.Error]()

    def search() -> None:
        try:
            for _ in range(200):
                index.search("create an issue", 3)
        except sqlite3.Error as error:
            failures.append(error)

    threads = [Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
