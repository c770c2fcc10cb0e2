"""The pins: the set of tools of each MCP server that an operator accepted, and the sets that wait for one.

Functions that change rows record each change in the audit chain.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import chain
from audit.chain import Change
from audit.covered import Covered
from audit.records import Facet
from tools.mcp_client.tool_set import ToolSet
from tools.models import McpToolSet

LISTED: Final = Facet(McpToolSet, "server", "tools", "sha256", "found")
ACCEPTANCE: Final = Facet(McpToolSet, "accepted", "accepted_by")
REMOVAL: Final = Facet(McpToolSet, "removed")
WHOLE: Final = Facet(McpToolSet, *LISTED.names, *ACCEPTANCE.names, *REMOVAL.names)

FOUND: Final = "mcp_tool_set.found"
ACCEPTED: Final = "mcp_tool_set.accepted"
REMOVED: Final = "mcp_tool_set.removed"


def accepted() -> dict[str, ToolSet]:
    """Return the accepted set of each server. A row whose hash does not fit its tools is left out."""
    rows = McpToolSet.objects.filter(accepted__isnull=False, removed__isnull=True)
    found = {row.server: (parsed(row), row.sha256) for row in rows}
    return {server: tools for server, (tools, sha256) in found.items() if tools.sha256 == sha256}


def accepted_hashes() -> dict[str, str]:
    """Return the hash of the accepted set of each server."""
    rows = McpToolSet.objects.filter(accepted__isnull=False, removed__isnull=True)
    return dict(rows.values_list("server", "sha256"))


def waiting() -> dict[str, McpToolSet]:
    """Return the newest set of each server that waits for an operator."""
    rows = McpToolSet.objects.filter(accepted__isnull=True, removed__isnull=True).order_by("found")
    return {row.server: row for row in rows}


def parsed(row: McpToolSet) -> ToolSet:
    return ToolSet(msgspec.json.decode(row.tools, type=tuple[dict[str, Any], ...]))


def note_found(server: str, tools: ToolSet) -> bool:
    """Store a set that waits for an operator, and record it. Return False if it waited already."""
    try:
        with transaction.atomic():
            waits = McpToolSet.objects.filter(server=server, accepted__isnull=True, removed__isnull=True)
            if waits.filter(sha256=tools.sha256).exists():
                return False
            # Only the newest waits, so that a server that changes all the time fills no table with waiting rows.
            _remove(waits, "service")
            row = McpToolSet.objects.create(server=server, tools=tools.text, sha256=tools.sha256, found=timezone.now())
            chain.record(Change(kind=FOUND, subject=str(row.pk), actor="service", facet=LISTED))
    except IntegrityError:
        # Another process stored it at the same time.
        return False
    return True


def accept(server: str, tools: ToolSet, by: str) -> None:
    """Make a set the accepted one of a server, in place of the others."""
    with transaction.atomic():
        # An accepted set is first one that waits, so both have the same entries in the audit.
        note_found(server, tools)
        rows = McpToolSet.objects.filter(server=server, accepted__isnull=True, removed__isnull=True)
        accept_waiting(rows.get(sha256=tools.sha256), by)


def accept_waiting(row: McpToolSet, by: str) -> bool:
    """Make a set that waits the accepted one, in place of the others. Return False if it no longer waits."""
    with transaction.atomic():
        _remove(McpToolSet.objects.filter(server=row.server, removed__isnull=True).exclude(pk=row.pk), by)
        waits = McpToolSet.objects.filter(pk=row.pk, accepted__isnull=True, removed__isnull=True)
        if not waits.update(accepted=timezone.now(), accepted_by=by):
            transaction.set_rollback(True)
            return False
        change = Change(kind=ACCEPTED, subject=str(row.pk), actor=by, facet=ACCEPTANCE, in_detail=True)
        chain.record(change)
        return True


def _remove(rows: Any, by: str) -> None:
    keys = list(rows.values_list("pk", flat=True))
    McpToolSet.objects.filter(pk__in=keys).update(removed=timezone.now())
    chain.record(*(Change(kind=REMOVED, subject=str(key), actor=by, facet=REMOVAL, in_detail=True) for key in keys))


def _unrecorded(row: Mapping[str, Any], kinds: frozenset[str]) -> str:
    """Return the first column of a set that differs from what the kinds of its entries say."""
    if row["accepted"] is not None and ACCEPTED not in kinds:
        return "accepted"
    return "removed" if row["removed"] is not None and REMOVED not in kinds else ""


COVERED: Final = Covered(
    name="mcp_tool_set",
    model=McpToolSet,
    whole=WHOLE,
    created=frozenset({FOUND}),
    committed={FOUND: LISTED},
    kept={ACCEPTED: ACCEPTANCE, REMOVED: REMOVAL},
    unrecorded=_unrecorded,
)
