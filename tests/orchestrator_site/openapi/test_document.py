"""The OpenAPI document: what programs that generate clients, and people who read it, rely on.

Covers `orchestrator_site.openapi.examples`, `orchestrator_site.openapi.responses` and `chat.wire.event_schemas`.
"""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from unittest.mock import MagicMock

import jsonschema_rs
import msgspec
import pytest
from django.urls import set_script_prefix
from ninja.responses import NinjaJSONEncoder

from chat.api.errors import REFUSALS
from chat.engine import events
from orchestrator_site.api import api
from orchestrator_site.http.api_handler import STATUS_ERRORS
from orchestrator_site.openapi.document import Document
from speech.api.errors import STATUSES

SERVED: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(), cls=NinjaJSONEncoder))
COMPONENTS: dict[str, Any] = SERVED["components"]
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: {**operation, "path": path, "method": method}
    for path, methods in SERVED["paths"].items()
    for method, operation in methods.items()
}
KEYLESS = {
    "get_liveness",
    "get_readiness",
    "get_health",
    "get_resource_metadata",
    "get_mcp_resource_metadata",
}
STREAMS = ("start_run", "resume_run", "compact_session", "follow_run")
SENTENCE = re.compile(r"[A-Z`].*[.]", re.DOTALL)
"""A description of a field or a parameter: one sentence or more."""

NULL = re.compile(r"null|absent|omitted|without effect|grouped by", re.IGNORECASE)
"""The words of a description that say what null means."""


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document, or the component that it refers to."""
    if "$ref" not in value:
        return value
    _, _, kind, name = value["$ref"].split("/")
    component: dict[str, Any] = COMPONENTS[kind][name]
    return component


def nodes(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of the document with its place."""
    if isinstance(value, dict):
        yield place, value
        for name, item in value.items():
            if name not in {"example", "examples", "value"}:
                yield from nodes(item, f"{place}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from nodes(item, f"{place}/{number}")


def contents() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every body of a request or a response: its place, its media type and its description."""
    for place, node in nodes(SERVED):
        # A property may be called `content`, too.
        if not place.endswith("/properties"):
            for media_type, content in node.get("content", {}).items():
                yield place, media_type, content


def response(operation: str, status: int | str) -> dict[str, Any]:
    return resolved(OPERATIONS[operation]["responses"][str(status)])


def test_operations_have_short_ids_sentences_and_a_described_tag() -> None:
    assert sum(len(methods) for methods in SERVED["paths"].values()) == len(OPERATIONS)
    described = {tag["name"] for tag in SERVED["tags"] if SENTENCE.fullmatch(tag["description"])}
    for name, operation in OPERATIONS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert SENTENCE.fullmatch(operation["summary"]), name
        assert "\n" not in operation["summary"], name
        assert operation["summary"] in " ".join(operation["description"].split())
        assert len(operation["tags"]) == 1
        assert set(operation["tags"]) <= described


def test_every_field_parameter_and_header_is_described() -> None:
    undescribed = [
        f"{place}/{name}"
        for place, node in nodes(SERVED)
        for name, schema in (node.get("properties") or {}).items()
        if not SENTENCE.fullmatch(schema.get("description", ""))
    ]
    undescribed += [
        f"{name} {parameter['name']}"
        for name, operation in OPERATIONS.items()
        for parameter in operation["parameters"]
        if not SENTENCE.fullmatch(parameter["description"])
    ]
    undescribed += [
        f"{place}/{name}"
        for place, node in nodes(SERVED)
        if "content" in node or "headers" in node
        for name, header in (node.get("headers") or {}).items()
        if not SENTENCE.fullmatch(resolved(header)["description"])
    ]
    assert undescribed == []


def test_every_null_is_explained() -> None:
    unexplained = [
        f"{place}/{name}"
        for place, node in nodes(SERVED)
        for name, schema in (node.get("properties") or {}).items()
        if {"type": "null"} in schema.get("anyOf", ())
        if not NULL.search(schema["description"])
    ]
    assert unexplained == []


def test_event_union_maps_each_tag_of_the_wire_to_its_schema() -> None:
    union = COMPONENTS["schemas"]["RunEvent"]
    mapping = union["discriminator"]["mapping"]
    assert union["discriminator"]["propertyName"] == "type"
    assert set(mapping) == {event.__struct_config__.tag for event in events.EVENT_TYPES}
    assert sorted(mapping.values()) == sorted(part["$ref"] for part in union["oneOf"])
    for tag, reference in mapping.items():
        schema = resolved({"$ref": reference})
        assert schema["properties"]["type"]["enum"] == [tag]
        assert "type" in schema["required"]
        assert [example["type"] for example in schema["examples"]] == [tag]


@pytest.mark.parametrize("operation", STREAMS)
def test_streams_carry_the_event_union(operation: str) -> None:
    found = response(operation, 200)
    assert found["content"]["text/event-stream"]["schema"] == {"$ref": "#/components/schemas/RunEvent"}
    assert {"X-Run-Id", "X-Session-Id", "Content-Location", "X-Request-Id"} <= set(found["headers"])
    assert ("application/json" in found["content"]) == (operation != "follow_run")


def test_documented_events_are_those_that_the_service_encodes() -> None:
    decode = msgspec.json.Decoder(events.Event).decode
    streams = (content for place, kind, content in contents() if kind == "text/event-stream")
    for content in (one for one in streams if "RunEvent" in json.dumps(one)):
        assert set(content["examples"]) == set(COMPONENTS["schemas"]["RunEvent"]["discriminator"]["mapping"])
        for example in content["examples"].values():
            assert msgspec.json.decode(msgspec.json.encode(decode(json.dumps(example["value"])))) == example["value"]


def test_media_types_have_neither_wildcards_nor_parameters() -> None:
    found = {media_type for _, media_type, _ in contents()}
    assert [media_type for media_type in found if not re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", media_type)] == []
    assert {"audio/mpeg", "audio/ogg", "audio/pcm", "application/octet-stream"} <= set(
        response("synthesize", 200)["content"]
    )
    assert set(OPERATIONS["transcribe"]["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/octet-stream",
    }


def test_every_example_matches_its_schema() -> None:
    wrong, seen = [], 0
    for place, media_type, content in contents():
        examples = [example["value"] for example in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        if not examples:
            continue
        validator = jsonschema_rs.validator_for({**content["schema"], "components": COMPONENTS})
        wrong += [(place, media_type, str(error)) for value in examples for error in validator.iter_errors(value)]
        seen += len(examples)
    assert wrong == []
    assert seen > len(OPERATIONS)


def test_requests_and_answers_have_examples() -> None:
    for name, operation in OPERATIONS.items():
        body = operation.get("requestBody", {"content": {}})["content"]
        assert all("examples" in content for kind, content in body.items() if kind == "application/json"), name
    for name in (*STREAMS[:3], "get_run", "get_session", "list_messages", "get_execution", "transcribe", "create_key"):
        success = next(status for status in OPERATIONS[name]["responses"] if status.startswith("20"))
        assert "example" in response(name, int(success))["content"]["application/json"], name


def test_request_headers_are_documented() -> None:
    def headers(operation: str) -> set[str]:
        return {each["name"] for each in OPERATIONS[operation]["parameters"] if each["in"] == "header"}

    assert headers("start_run") == {"Idempotency-Key", "traceparent"}
    assert headers("resume_run") == {"traceparent"}
    assert headers("follow_run") == {"Last-Event-ID"}


@pytest.mark.parametrize(
    ("status", "header"), [(401, "WWW-Authenticate"), (405, "Allow"), (429, "Retry-After"), (503, "Retry-After")]
)
def test_errors_document_their_headers(status: int, header: str) -> None:
    assert header in response("start_run", status)["headers"]


def test_every_response_has_the_id_of_its_request() -> None:
    for name, operation in OPERATIONS.items():
        for status in operation["responses"]:
            assert "X-Request-Id" in response(name, status)["headers"], (name, status)


def test_speech_names_its_provider_in_headers() -> None:
    assert {"X-Speech-Provider", "X-Speech-Model", "X-Speech-Voice", "X-Speech-Note"} <= set(
        response("synthesize", 200)["headers"]
    )


def test_every_error_of_the_service_has_a_description_of_its_own() -> None:
    refused = {refuse(MagicMock()).status for refuse in REFUSALS.values()}
    statuses = refused | set(STATUSES.values()) | set(STATUS_ERRORS)
    names = set(COMPONENTS["responses"]) - {"OpenAIError"}
    documented = {int(name.removeprefix("Error")) for name in names}
    assert statuses <= documented
    for status in documented:
        assert COMPONENTS["responses"][f"Error{status}"]["description"] != HTTPStatus(status).phrase


def test_keys_are_sent_in_either_header_and_probes_and_metadata_need_none() -> None:
    schemes = COMPONENTS["securitySchemes"].values()
    assert {(scheme["type"], scheme.get("scheme") or scheme["name"]) for scheme in schemes} == {
        ("http", "bearer"),
        ("apiKey", "X-API-Key"),
    }
    either: list[dict[str, list[str]]] = [{scheme: []} for scheme in COMPONENTS["securitySchemes"]]
    for name, operation in OPERATIONS.items():
        assert operation["security"] == ([] if name in KEYLESS else either)
    assert "`chat` or `audit`" in OPERATIONS["get_run"]["description"]


@pytest.mark.parametrize(("prefix", "url"), [("/", "/"), ("/agent/", "/agent")])
def test_server_is_the_root_path(prefix: str, url: str) -> None:
    set_script_prefix(prefix)
    try:
        assert api.get_openapi_schema()["servers"] == [{"url": url}]
    finally:
        set_script_prefix("/")


def test_document_names_its_contact_and_license() -> None:
    info = SERVED["info"]
    assert info["contact"]["email"]
    assert info["license"]["identifier"] == "Apache-2.0"
    assert SENTENCE.fullmatch(info["description"].strip())


def test_every_component_is_used() -> None:
    text = json.dumps(SERVED)
    unused = [
        f"{kind}/{name}"
        for kind in ("schemas", "responses", "headers")
        for name in COMPONENTS[kind]
        if f'"#/components/{kind}/{name}"' not in text
    ]
    assert unused == []


def test_optional_fields_of_bodies_and_events_have_no_default_that_would_make_them_required() -> None:
    bodies = [resolved(content["schema"]) for place, _, content in contents() if place.endswith("/requestBody")]
    bodies += [resolved(part) for part in COMPONENTS["schemas"]["RunEvent"]["oneOf"]]
    fields = [field for body in bodies for field in body.get("properties", {}).items()]
    assert len(fields) > 20
    assert [name for name, schema in fields if "default" in schema] == []


def test_composing_the_document_twice_gives_the_same() -> None:
    assert json.loads(json.dumps(Document(api, "/"), cls=NinjaJSONEncoder)) == SERVED


def test_document_is_composed_once_for_each_root_path() -> None:
    assert api.get_openapi_schema() is api.get_openapi_schema()
