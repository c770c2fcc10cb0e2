"""The types of the client are those of the service: a new event, field or option fails here.

Covers `orchestrator_client.core.events`, `orchestrator_client.core.values`.
"""

from typing import Any

import msgspec
import orchestrator_client
import pytest
from ninja import Schema
from orchestrator_client import Client
from orchestrator_client.async_client import AsyncClient
from orchestrator_client.core import values
from orchestrator_client.core.events import KnownEvent, TotalUsage, decode
from orchestrator_client.core.questions import Call, Options

from chat.api import request_schemas, schemas
from chat.api.files import workspace_schemas
from chat.engine import events
from tools import schemas as tool_schemas

SAME = {
    values.Run: schemas.AnswerOut,
    values.Usage: schemas.UsageOut,
    values.Approval: schemas.ApprovalOut,
    values.PendingCall: schemas.ClientToolCallOut,
    values.CompactionReport: schemas.CompactionOut,
    values.CancelledRun: schemas.CancelOut,
    values.Session: schemas.SessionOut,
    values.Message: schemas.MessageOut,
    values.Provider: schemas.ProviderOut,
    values.Tool: tool_schemas.ToolOut,
    values.Execution: tool_schemas.ExecutionOut,
    values.FileEntry: workspace_schemas.FileOut,
    values.FileList: workspace_schemas.FileList,
    values.WrittenFile: workspace_schemas.WrittenOut,
    Call: request_schemas.ToolCallIn,
}
SAMPLES: dict[type[msgspec.inspect.Type], Any] = {
    msgspec.inspect.StrType: "a",
    msgspec.inspect.IntType: 1,
    msgspec.inspect.FloatType: 1.5,
    msgspec.inspect.BoolType: True,
    msgspec.inspect.AnyType: {"a": [1]},
    msgspec.inspect.DictType: {"web": "web.fetch"},
    msgspec.inspect.StructType: events.TotalUsage(input_tokens=3),
}


def tags(kinds: tuple[Any, ...]) -> dict[str, Any]:
    return {str(kind.__struct_config__.tag): kind for kind in kinds}


def sample(kind: Any) -> Any:
    """Return a value of a type."""
    match kind:
        case msgspec.inspect.UnionType(types=types):
            return sample(types[0])
        case msgspec.inspect.Metadata(type=inner):
            return sample(inner)
        case msgspec.inspect.LiteralType(values=choices):
            return choices[0]
    return SAMPLES[type(kind)]


def fields(kind: Any) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def test_events_and_their_fields_are_those_of_the_service() -> None:
    ours, theirs = tags(KnownEvent.__args__), tags(events.EVENT_TYPES)
    assert {tag: fields(kind) for tag, kind in ours.items()} == {tag: fields(kind) for tag, kind in theirs.items()}
    assert fields(TotalUsage) == fields(events.TotalUsage)
    assert {kind.__name__ for kind in ours.values()} <= set(dir(orchestrator_client))


@pytest.mark.parametrize("kind", events.EVENT_TYPES, ids=lambda kind: kind.__struct_config__.tag)
def test_event_of_the_service_keeps_its_values(kind: Any) -> None:
    given = {field.name: sample(field.type) for field in msgspec.inspect.type_info(kind).fields}
    encoded = msgspec.json.encode(kind(**given))
    found = decode(encoded)
    assert msgspec.to_builtins(found) == msgspec.json.decode(encoded)


@pytest.mark.parametrize(("ours", "theirs"), SAME.items(), ids=lambda kind: kind.__name__)
def test_fields_of_a_value_are_those_of_the_service(ours: Any, theirs: type[Schema]) -> None:
    assert fields(ours) == set(theirs.model_fields)


def test_options_are_those_of_the_service() -> None:
    options = set(Options.__annotations__) - {"idempotency_key", "decide"}
    assert options == set(request_schemas.ChatIn.model_fields) - {"message", "stream"}


def test_both_clients_have_the_same_methods() -> None:
    assert public(Client) == public(AsyncClient)
    assert {"stream", "ask", "follow", "resume", "cancel", "approve", "deny", "result"} <= public(Client)


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}
