"""Questions to the person at the client: whether a tool may run. They are asked as elicitation, in a form."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from tools.mcp_server.messages.protocol import INVALID_PARAMS, RpcError

METHOD: Final = "elicitation/create"
KEY: Final = "approval"
"""The name of the question among those of a result."""

APPROVE: Final = "approve"
"""The scope of keys whose user may decide."""

PREFIX: Final = "approval"
MAX_MESSAGE_CHARS: Final = 65_536
"""Characters of a question. Longer params are read with the execution."""

MAX_NOTE_CHARS: Final = 2_000

# Without a default: a client that accepts a form unseen approves nothing.
FORM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "decision": {"type": "string", "title": "Decision", "enum": ["approve", "deny"]},
        "note": {"type": "string", "title": "Note for the model", "maxLength": MAX_NOTE_CHARS},
    },
    "required": ["decision"],
}

Verdict = Literal["approved", "denied"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that waits until `expires_at` (ISO 8601) for a decision about these params.

    `taint` names the sources of the texts from outside in its conversation, if there are any.
    """

    execution_id: str
    tool: str
    params: Any
    params_sha256: str
    expires_at: str
    taint: str = ""

    @property
    def id(self) -> str:
        """The id of the question as a request, which names what the answer is about."""
        return f"{PREFIX}:{self.execution_id}:{self.params_sha256}"

    @property
    def form(self) -> dict[str, Any]:
        """The params of the elicitation."""
        shown = msgspec.json.format(msgspec.json.encode(self.params, order="sorted"), indent=2).decode()
        rest = f"Execution {self.execution_id}, params_sha256 {self.params_sha256}, until {self.expires_at}."
        if len(shown) > MAX_MESSAGE_CHARS:
            shown = "The params are too long to be shown here. Read the execution before you decide."
        outside = f"The conversation holds texts from outside: {self.taint}.\n" if self.taint else ""
        return {"message": f"May {self.tool} run with these params?\n{shown}\n{outside}{rest}", "requestedSchema": FORM}

    @property
    def request(self) -> dict[str, Any]:
        """The question as a part of a result."""
        return {"method": METHOD, "params": {"mode": "form", **self.form}}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the person at the client."""

    verdict: Verdict
    note: str = ""


def answer_of(given: Any) -> Answer:
    """Return the answer in the result of an elicitation. Only a decision to approve approves. Raises `RpcError`."""
    action = given.get("action") if isinstance(given, Mapping) else None
    content = given.get("content") if isinstance(given, Mapping) else None
    if action == "decline":
        return Answer(verdict="denied")
    if action == "cancel":
        return Answer(verdict="denied", note="The question was closed without an answer.")
    decision = content.get("decision") if isinstance(content, Mapping) else None
    note = content.get("note", "") if isinstance(content, Mapping) else None
    if action != "accept" or decision not in ("approve", "deny") or not isinstance(note, str):
        error = "An answer has an action (accept, decline, cancel); accept also has content with decision and note."
        raise RpcError(INVALID_PARAMS, error)
    return Answer(verdict="approved" if decision == "approve" else "denied", note=note[:MAX_NOTE_CHARS])


def asked_about(number: Any) -> tuple[UUID, str] | None:
    """Return the execution and the hash of the params that a question with this id is about; None if it is none."""
    parts = number.split(":") if isinstance(number, str) else []
    if len(parts) != 3 or parts[0] != PREFIX:
        return None
    try:
        return UUID(parts[1]), parts[2]
    except ValueError:
        return None
