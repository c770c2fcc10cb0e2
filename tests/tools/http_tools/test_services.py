"""The file of HTTP services, and the tools that its documents become.

Covers `tools.http_tools.operations` and `tools.http_tools.schemas`.
"""

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_site.api import api
from tests.tools.http_tools.documents import DOCUMENT, service, written
from tools.http_tools import services
from tools.http_tools.operations import keys, operation
from tools.http_tools.schemas import MAX_DEFINITIONS, InvalidDocument
from web.json_schema import problem_of
from web.toml_file import InvalidFile

OK = '[services.tracker]\ndocument = "tracker.json"\noperations = ["listIssues"]\n'


def read(folder: Path, table: str, document: Any = DOCUMENT) -> tuple[services.HttpService, ...]:
    return services.read(written(folder, table, document), lambda name: "value" if name == "SET" else "")


def test_all_operations_that_can_be_tools_are_tools(tmp_path: Path) -> None:
    found = service(tmp_path)
    assert [tool.name for tool in found.tools] == [
        "http.tracker.listIssues",
        "http.tracker.create_issue",
        "http.tracker.getIssue",
        "http.tracker.delete_issues_id",
        "http.tracker.send",
        "http.tracker.note",
    ]
    assert found.server == "https://eu.tracker.example/v1"
    assert found.tools[0].operation.description == "List issues.\nNewest first."


@pytest.mark.parametrize(
    ("operations", "count"),
    [('["listIssues"]', 1), ('["GET /issues*"]', 2), ('["GET *", "getIssue"]', 2), ('["DELETE /issues/{id}"]', 1)],
)
def test_operations_are_chosen_by_name_method_and_pattern(tmp_path: Path, operations: str, count: int) -> None:
    assert len(service(tmp_path, operations=operations).tools) == count


def test_schema_of_the_params_stands_alone(tmp_path: Path) -> None:
    listing, creation, one, *_ = (tool.schema for tool in service(tmp_path).tools)
    assert problem_of(listing, {"label": ["a"], "limit": 1, "X-Team": "b", "ids": [1]}) is None
    assert problem_of(listing, {"limit": 0})
    assert problem_of(listing, {"session": "a"})
    assert problem_of(listing, {"Authorization": "a"})
    assert problem_of(listing, {"Host": "a"})
    issue = {"title": "a", "example": None, "parent": {"title": "b"}, "owner": {"name": "c"}}
    assert problem_of(creation, {"body": issue}) is None
    assert problem_of(creation, {"body": {**issue, "parent": {}}})
    assert problem_of(creation, {})
    assert problem_of(one, {"id": "1", "query_id": "2"}) is None
    assert problem_of(one, {"query_id": "2"})
    assert "A bug" not in creation


def test_document_in_yaml_is_the_same(tmp_path: Path) -> None:
    text = "openapi: 3.1.0\npaths:\n  /a:\n    get:\n      operationId: on\n      summary: 2020-01-01\n"
    (found,) = read(tmp_path, OK.replace("listIssues", "o*") + 'server = "https://a.example"', text)
    assert (found.tools[0].name, found.tools[0].operation.description) == ("http.tracker.on", "2020-01-01")


@pytest.mark.parametrize(
    ("table", "line", "problem"),
    [
        ("[tools.x]", 1, "there is no table 'tools'"),
        ("[services.Tracker]\n", 1, "the name 'Tracker' must be 1 to 32 lower-case"),
        ("[services.x]\noperations = ['a']", 1, "missing required field `document`"),
        (OK + "colour = 1", 4, "there is no field 'colour'; there are document, operations, server"),
        (OK + "effect = 'sometimes'", 4, "effect: .*one of read, write, execute, network"),
        (OK + "private = 1", 4, "private: expected `bool`"),
        (OK + "total_seconds = 0", 4, "total_seconds: expected `float` >= 0.1"),
        (OK + "operations2 = 1", 4, "no field 'operations2'"),
        (OK.replace('["listIssues"]', "[]"), 3, "operations: expected `array` of length >= 1"),
        (
            OK.replace("listIssues", "nothing"),
            3,
            r"there is no operation 'nothing'; the document has listIssues, .* \(10\)",
        ),
        (OK.replace("listIssues", "upload"), 3, "POST /files cannot be a tool: its body is multipart/form-data"),
        (OK.replace("listIssues", "login"), 3, "it needs the cookie 's'"),
        (OK.replace("listIssues", "odd"), 3, "the params in its path are not those that it declares"),
        (OK.replace("listIssues", "broken"), 3, "cannot be a tool"),
        (OK.replace("tracker.json", "nowhere.json"), 2, r"cannot be read \(No such file"),
        (OK.replace("tracker.json", "."), 2, r"cannot be read \(Is a directory\)"),
        (OK.replace("tracker.json", "\\u0000"), 2, r"cannot be read \(embedded null byte\)"),
        (OK + 'server = "https://a.example\\r\\n"', 4, "server must be a URL that starts with http"),
        (OK + "server = 'https://a example'", 4, "server must be a URL that starts with http"),
        (OK + "server = 'ftp://a'", 4, "server must be a URL that starts with http"),
        (OK + "server = 'https://u:p@a.example'", 4, "without a user, a password"),
        (OK + "headers = { Host = 'a' }", 4, "the header 'Host' cannot be set here"),
        (OK + "headers = { X-Key = 'env:UNSET' }", 4, "the variable 'UNSET' of the header X-Key is not set"),
        (OK + "headers = { X-Key = 'ä' }", 4, "a character that an HTTP header cannot have"),
        (OK + "[services.tracker]", 4, "is not TOML"),
    ],
)
def test_fault_is_one_sentence_with_the_line(tmp_path: Path, table: str, line: int, problem: str) -> None:
    with pytest.raises(InvalidFile, match=problem) as refusal:
        read(tmp_path, table)
    message = str(refusal.value)
    assert message.startswith(str(tmp_path / "tools.toml"))
    assert f"line {line}" in message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("", "it is not an object"),
        ("[]", "it is not an object"),
        ("{", "neither JSON nor YAML"),
        ("\x00", "neither JSON nor YAML"),
        ("!!python/object/apply:os.system [id]", "neither JSON nor YAML"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("[" * 100_000, "more than 128 levels"),
        ({"swagger": "2.0", "paths": {}}, "not an OpenAPI document of version 3"),
        ({"openapi": "3.1.0", "paths": {}}, r"there is no operation .* the document has none \(0\)"),
        ({**DOCUMENT, "servers": []}, "server, which is missing here and in the document, must be a URL"),
        ({**DOCUMENT, "servers": [{"url": "/v1"}]}, "must be a URL"),
        ({**DOCUMENT, "servers": 3}, "not as OpenAPI describes it"),
        ({"openapi": "3.1.0", "paths": {f"/{n}": {"get": {}} for n in range(2_001)}}, "more than 2000 operations"),
        ("openapi: 3.1.0\npaths:\n  5:\n    get: {}\n", r"there is no operation .* the document has none \(0\)"),
    ],
)
def test_document_that_cannot_be_used_is_named(tmp_path: Path, document: Any, problem: str) -> None:
    with pytest.raises(InvalidFile, match=problem):
        read(tmp_path, OK, document)


@pytest.mark.parametrize(
    "path",
    [
        "@evil.example",
        ".evil.example",
        ":8080",
        "",
        "issues",
        "/../admin",
        "/a/.",
        "/a?b",
        "/a#b",
        "/a b",
        "/ä",
        "/a\r\nX: y",
    ],
)
def test_path_that_would_lead_elsewhere_makes_no_tool(tmp_path: Path, path: str) -> None:
    document = {"openapi": "3.1.0", "paths": {path: {"get": {"operationId": "here"}}, "/a/{b}%20": {"get": {}}}}
    server = 'server = "https://a.example"'
    with pytest.raises(InvalidFile, match="its path must begin with / and have only characters that a URL can have"):
        read(tmp_path, OK.replace("listIssues", "here") + server, document)
    (found,) = read(tmp_path, OK.replace("listIssues", "*") + server, document)
    assert found.tools == ()


@pytest.mark.parametrize("name", ["X\r\nHost", "", "X Y", "ä", "X:"])
def test_param_that_cannot_be_a_header_makes_no_tool(name: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["paths"]["/issues"]["parameters"][0]["name"] = name
    with pytest.raises(InvalidDocument, match="cannot be a header"):
        operation(document, "GET /issues")


def test_two_operations_with_one_name_are_refused(tmp_path: Path) -> None:
    document = {"openapi": "3.1.0", "paths": {f"/{n}": {"get": {"operationId": f"a{n}"}} for n in "!?"}}
    with pytest.raises(InvalidFile, match=r"two operations have the name 'a': GET /! and GET /\?"):
        read(tmp_path, OK.replace("listIssues", "*"), document)


def hostile(schema: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    document["paths"]["/issues"]["post"]["requestBody"]["content"] = {"application/json": {"schema": schema}}
    return document


def deep(levels: int) -> dict[str, Any]:
    return {"items": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"$ref": "#/components/schemas/Nothing"}, "leads to nothing"),
        ({"$ref": "other.yaml#/Issue"}, "must be #/components/schemas/NAME"),
        ({"$ref": "https://evil.example/schema.json"}, "must be #/components/schemas/NAME"),
        ({"$ref": "#/paths"}, "must be #/components/schemas/NAME"),
        ({"$ref": 3}, "must be #/components/schemas/NAME"),
        (deep(40), "more than 32 levels"),
    ],
)
def test_hostile_schema_is_refused(schema: Any, problem: str) -> None:
    with pytest.raises(InvalidDocument, match=problem):
        operation(hostile(schema), "POST /issues")


def test_number_of_definitions_and_references_is_limited() -> None:
    chain = {f"S{n}": {"items": {"$ref": f"#/components/schemas/S{n + 1}"}} for n in range(MAX_DEFINITIONS + 1)}
    document = hostile({"$ref": "#/components/schemas/S0"})
    document["components"]["schemas"] = chain
    with pytest.raises(InvalidDocument, match="needs more than 128 definitions"):
        operation(document, "POST /issues")
    document["components"]["parameters"]["Label"] = {"$ref": "#/components/parameters/Label"}
    with pytest.raises(InvalidDocument, match="leads to more than 16 others"):
        operation(document, "GET /issues")


def test_own_document_of_the_service_can_be_used() -> None:
    document = msgspec.json.decode(msgspec.json.encode(api.get_openapi_schema()))
    wanted = {"start_run", "get_run", "list_sessions"}
    assert {operation(document, key).name for key, name in keys(document) if name in wanted} == wanted
