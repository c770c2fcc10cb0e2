"""An OpenAPI document with what documents have, and the file that names it."""

import json
from pathlib import Path
from typing import Any

from tools.http_tools import services
from tools.http_tools.services import HttpService

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Tracker", "version": "1"},
    "servers": [{"url": "https://{region}.tracker.example/v1", "variables": {"region": {"default": "eu"}}}],
    "paths": {
        "/issues": {
            "parameters": [{"name": "X-Team", "in": "header", "schema": {"type": "string"}}],
            "get": {
                "operationId": "listIssues",
                "summary": "List issues.",
                "description": "Newest first.",
                "parameters": [
                    {"$ref": "#/components/parameters/Label"},
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                    },
                    {"name": "filter", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
                    {
                        "name": "ids",
                        "in": "query",
                        "explode": False,
                        "schema": {"type": "array", "items": {"type": "integer"}},
                    },
                    {"name": "session", "in": "cookie", "schema": {"type": "string"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
                    {"name": "Host", "in": "header", "schema": {"type": "string"}},
                ],
            },
            "post": {
                "operationId": "create.issue!",
                "requestBody": {
                    "required": True,
                    "content": {"application/json; charset=utf-8": {"schema": {"$ref": "#/components/schemas/Issue"}}},
                },
            },
        },
        "/issues/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {
                "operationId": "getIssue",
                "parameters": [{"name": "id", "in": "query", "schema": {"type": "string"}}],
            },
            "delete": {},
        },
        "/forms": {"post": {"operationId": "send", "requestBody": {"$ref": "#/components/requestBodies/Form"}}},
        "/notes": {"put": {"operationId": "note", "requestBody": {"content": {"text/plain": {}}}}},
        "/files": {"post": {"operationId": "upload", "requestBody": {"content": {"multipart/form-data": {}}}}},
        "/login": {
            "get": {
                "operationId": "login",
                "parameters": [{"name": "s", "in": "cookie", "required": True, "schema": {"type": "string"}}],
            }
        },
        "/odd/{a}": {"get": {"operationId": "odd"}},
        "/broken": {"get": {"operationId": "broken", "parameters": {"not": "a list"}}},
    },
    "components": {
        "parameters": {
            "Label": {"name": "label", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}
        },
        "requestBodies": {
            "Form": {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": {}}}}}
        },
        "schemas": {
            "Issue": {
                "type": "object",
                "required": ["title"],
                "properties": {
                    "title": {"type": "string", "example": "A bug", "x-order": 1},
                    "example": {"type": "string", "nullable": True},
                    "parent": {"$ref": "#/components/schemas/Issue"},
                    "owner": {"$ref": "#/components/schemas/Person"},
                },
            },
            "Person": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
    },
}


def written(folder: Path, table: str, document: Any = DOCUMENT) -> Path:
    """Write a file of services, and the document beside it. Return its path."""
    (folder / "tracker.json").write_text(document if isinstance(document, str) else json.dumps(document))
    path = folder / "tools.toml"
    path.write_text(table)
    return path


def service(folder: Path, **fields: str) -> HttpService:
    """Return the service of the document, with all operations that can be tools, and fields as they stand in TOML."""
    lines = {"document": '"tracker.json"', "operations": '["*"]', **fields}
    table = "[services.tracker]\n" + "\n".join(f"{name} = {value}" for name, value in lines.items())
    (found,) = services.read(written(folder, table), {"KEY": "Bearer k3y-of-the-tracker"}.get)
    return found
