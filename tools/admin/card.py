"""One execution as a part of other pages: its params, decision and outcome, with the form for a decision."""

from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse

from access.keys.names import Names
from console import cells
from console.html.params import params
from speech.audio.detection import MEDIA_TYPES, kind_of
from speech.base import SpeechError
from tools import resources
from tools.admin import fields
from tools.base import ToolError
from tools.execution.taint import described
from tools.models import ToolExecution

DECIDE: Final = "tools.decide_toolexecution"
MAX_OUTPUT: Final = 8_000
"""Characters of each text in a card; the rest is on the execution's page."""

MAX_AUDIO_BYTES: Final = 32 * 2**20
AUDIO_TOOLS: Final = ("speech.synthesize", "speech.transcribe")


def may_decide(request: HttpRequest, row: ToolExecution | None) -> bool:
    return row is not None and row.awaits_decision and request.user.has_perm(DECIDE)


def decision_form(request: HttpRequest, row: ToolExecution, *, goes_back: bool = False) -> dict[str, Any]:
    """Return the context of the form for a decision; empty if the user may not decide.

    With `goes_back`, the decision leads back to the run's page, and otherwise to the execution's.
    """
    if not may_decide(request, row):
        return {}
    return {
        "decision_url": reverse("admin:tools_toolexecution_decide", args=[row.pk]),
        "tool": fields.tool(row),
        "params": fields.values_of("params")(row),
        "params_sha256": row.params_sha256,
        "taint": described(row.taint),
        "expires": cells.moment(row.expires),
        "goes_back": goes_back,
    }


def card(request: HttpRequest, row: ToolExecution, names: Names) -> dict[str, Any]:
    """Return the context of `console/execution_card.html`."""
    decision = decision_form(request, row, goes_back=True)
    page = reverse("admin:tools_toolexecution_change", args=[row.pk])
    return {
        "id": row.pk,
        "tool": fields.tool(row),
        "url": page,
        "status": fields.status(row),
        "source": row.source,
        "took": fields.took(row),
        "decision": row.decision,
        "decided_by": names.link(row.decided_by) if row.decided_by else "",
        "decided": cells.moment(row.decided),
        "note": cells.block(row.note, page) if row.note else "",
        "form": decision,
        # The form of a decision shows the params itself.
        "params": "" if decision else fields.values_of("params", MAX_OUTPUT)(row),
        "error": cells.block(row.error, page, MAX_OUTPUT) if row.error else "",
        "output": cells.block(row.output, page, MAX_OUTPUT) if row.output else "",
        "output_url": reverse("admin:tools_toolexecution_output", args=[row.pk]) if row.output_size else "",
        "output_size": cells.number(row.output_size),
        "data": "" if row.data is None else params(row.data, f"{page}whole/data/", MAX_OUTPUT),
        "audio_url": reverse("admin:tools_toolexecution_audio", args=[row.pk]) if has_audio(row) else "",
    }


def audio(row: ToolExecution) -> tuple[bytes, str] | None:
    """Return the audio file that an execution wrote or read, and its media type; None if it is not there any more."""
    path = _audio_path(row)
    if path is None:
        return None
    try:
        workspace = resources.workspaces().at(row.owner, row.session_id)
        data = workspace.read_bytes(path, MAX_AUDIO_BYTES)
        return data, MEDIA_TYPES[kind_of(data)]
    except (ToolError, SpeechError):
        return None


def has_audio(row: ToolExecution) -> bool:
    """Return whether the execution wrote or read an audio file of the workspace."""
    return _audio_path(row) is not None


def _audio_path(row: ToolExecution) -> str | None:
    if row.tool not in AUDIO_TOOLS or row.status != ToolExecution.Status.SUCCEEDED:
        return None
    # The row keeps no audio, only the path of the file.
    path = row.params.get("path") if isinstance(row.params, dict) else None
    return path if isinstance(path, str) else None
