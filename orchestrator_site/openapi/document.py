"""The OpenAPI document: what ninja reads from the endpoints, and what all endpoints have in common."""

import json
import re
from copy import deepcopy
from functools import lru_cache
from typing import Any, Final

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.responses import NinjaJSONEncoder

from access.auth import KeyAuth
from chat.wire.event_schemas import REFERENCE, event_schemas
from orchestrator_site.openapi import examples, responses
from orchestrator_site.openapi.description import INFO, LINK, PATH_PARAMETERS, SECURITY_SCHEMES, TAGS, TRACE_CONTEXT

TRACED: Final = {"start_run", "resume_run", "compact_session"}
"""Operations whose spans continue the caller's trace."""

FIRST_SENTENCE: Final = re.compile(r".+?\.(?=\s|$)", re.DOTALL)


class Document(OpenAPISchema):
    """The document of an API, whose paths are below a root path."""

    def __init__(self, api: NinjaAPI, root: str) -> None:
        super().__init__(api, "")
        self["info"] |= INFO
        # Paths are below the server's URL (https://spec.openapis.org/oas/v3.1.0#server-object).
        self |= {"servers": [{"url": root}], "tags": TAGS, "externalDocs": LINK}
        schemas = self.schemas | event_schemas() | responses.error_schemas()
        errors = responses.components()
        # Ninja also collects the schemas of query parameters, which no operation refers to.
        used = set(re.findall(rf"{REFERENCE}(\w+)", json.dumps([self["paths"], schemas, errors], cls=NinjaJSONEncoder)))
        self["components"] = {
            "schemas": {name: schema for name, schema in schemas.items() if name in used},
            "responses": errors,
            "headers": responses.HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        }

    def operation_details(self, operation: Operation) -> dict[str, Any]:
        # Ninja puts the endpoint's own constants into the document, which must not change.
        details: dict[str, Any] = deepcopy(super().operation_details(operation))
        if sentence := FIRST_SENTENCE.match(details.get("description", "")):
            details["summary"] = " ".join(sentence[0].split())
        keys = [auth for auth in operation.auth_callbacks if isinstance(auth, KeyAuth)]
        # An empty list states that no key is needed. Without a list, that would be open.
        details["security"] = [{name: []} for name in SECURITY_SCHEMES] if keys else []
        if words := [f"`{word}`" for key in keys for word in key.words]:
            details["description"] += f"\n\nThe key needs the scope {' or '.join(words)}."
        if details["operationId"] in TRACED:
            details["parameters"].append(TRACE_CONTEXT)
        for parameter in details["parameters"]:
            if parameter["in"] == "path":
                parameter["description"] = PATH_PARAMETERS[parameter["name"]]
        describe = responses.of_openai if details["tags"] == ["openai"] else responses.shared
        details["responses"] = describe(details["responses"])
        examples.add(details)
        return details


# Composing takes a tenth of a second of the processor, and any client may ask for it.
@lru_cache(maxsize=8)
def document_of(api: NinjaAPI, root: str) -> Document:
    """Return the document of an API below a root path. It is shared, so it must not be changed."""
    return Document(api, root)
