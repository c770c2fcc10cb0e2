"""Pins of tool sets: stored once, accepted by an operator, and recorded in the audit."""

from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditEntry
from tests.audit.history import problem
from tests.tools.mcp_client.fake import SCHEMA
from tools.mcp_client import pins
from tools.mcp_client.tool_set import ToolSet, tool_set
from tools.models import McpToolSet

pytestmark = pytest.mark.django_db(transaction=True)


def tools(*names: str, **fields: Any) -> ToolSet:
    return tool_set({"name": name, "inputSchema": SCHEMA, **fields} for name in names)


def kinds() -> list[str]:
    found = AuditEntry.objects.filter(kind__startswith="mcp_tool_set.").order_by("number")
    return [kind.partition(".")[2] for kind in found.values_list("kind", flat=True)]


def test_set_that_waits_is_stored_and_recorded_once() -> None:
    assert pins.note_found("wiki", tools("a"))
    assert not pins.note_found("wiki", tools("a"))
    assert pins.accepted() == {}
    assert pins.waiting()["wiki"].sha256 == tools("a").sha256
    assert kinds() == ["found"]
    assert problem() == ""


def test_only_the_newest_set_waits() -> None:
    for number in range(20):
        pins.note_found("wiki", tools(f"t{number}"))
    assert McpToolSet.objects.filter(removed__isnull=True).count() == 1
    assert pins.waiting()["wiki"].sha256 == tools("t19").sha256


def test_accepted_set_replaces_the_others_of_its_server() -> None:
    pins.accept("wiki", tools("a"), by="command line")
    pins.accept("other", tools("z"), by="command line")
    pins.note_found("wiki", tools("a", "b"))
    assert pins.accepted()["wiki"] == tools("a")
    pins.accept("wiki", tools("a", "b"), by="command line")
    assert pins.accepted() == {"wiki": tools("a", "b"), "other": tools("z")}
    assert pins.waiting() == {}
    assert kinds() == ["found", "accepted", "found", "accepted", "found", "removed", "accepted"]
    assert problem() == ""


def test_set_with_characters_that_databases_refuse_is_stored() -> None:
    odd = tools("a", description="\x00\u202e\U0001f600")
    pins.accept("wiki", odd, by="command line")
    assert pins.accepted() == {"wiki": odd}


def test_row_that_was_changed_is_no_pin() -> None:
    pins.accept("wiki", tools("a"), by="command line")
    McpToolSet.objects.update(tools=tools("b").text)
    assert pins.accepted() == {}
    assert problem() != ""


def test_acceptance_without_an_entry_is_found() -> None:
    pins.note_found("wiki", tools("a"))
    McpToolSet.objects.update(accepted=timezone.now())
    assert "Its accepted was changed" in problem()
