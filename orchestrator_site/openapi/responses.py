"""The responses of the OpenAPI document: those with an error are components, which operations share."""

from http.client import responses as phrases
from typing import Any, Final

from chat.wire.event_schemas import REFERENCE
from web.errors import CONTENT_TYPE as JSON
from web.schemas import ErrorOut, response_headers

HEADERS: Final = response_headers(
    {"X-Request-Id": "The request's id in the service's log. Absent if the request ended before its endpoint."}
)
"""The headers of every response."""

DESCRIPTIONS: Final = {
    200: "The result.",
    201: "The new record.",
    204: "Done. There is no body.",
    503: "The service cannot serve new requests. The body is the same as of a 200.",
}
"""The descriptions of responses that state no other."""

ERROR_CONTENT: Final = {JSON: {"schema": {"$ref": "#/components/schemas/ErrorOut"}}}
FIRST_ERROR: Final = 400
_TEXT: Final = {"type": "string"}
OPENAI_ERROR: Final[dict[str, Any]] = {
    JSON: {
        "schema": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "description": "The problem.",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {**_TEXT, "description": "A sentence: the problem, and what is valid."},
                        "type": {**_TEXT, "description": "The kind of the problem, as OpenAI names it."},
                        "param": {"type": "null", "description": "Always null."},
                        "code": {**_TEXT, "description": "The problem as a word for programs."},
                    },
                }
            },
        },
        "example": {
            "error": {
                "message": "model: String should have at least 1 character",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_field",
            }
        },
    }
}
RETRY_AFTER: Final = "The seconds after which the request may be repeated."

EVERYWHERE: Final = (400, 403, 405, 408, 413, 414, 431, 500, 507)
"""Statuses that any request can get before its endpoint runs, or from a fault."""

ERRORS: Final[dict[int, tuple[str, str, str, dict[str, str]]]] = {
    400: ("The request is malformed, or names another host.", "invalid_json", "The body is not UTF-8.", {}),
    401: (
        "No key was sent, or an unknown, revoked or expired one.",
        "unauthorized",
        "Authentication required: send Authorization: Bearer <key> or X-API-Key.",
        {"WWW-Authenticate": "The scheme of the key: `Bearer`."},
    ),
    403: (
        "The caller is rejected, or lacks a scope.",
        "scope",
        "Missing scope: chat. Use a key that has it.",
        {},
    ),
    404: ("Not found, or another owner's.", "not_found", "There is no such run.", {}),
    405: (
        "The path has no such method.",
        "method_not_allowed",
        "Method not allowed. The Allow header lists the allowed methods.",
        {"Allow": "The methods of the path."},
    ),
    408: (
        "The head or the body did not arrive in time. The connection is closed.",
        "request_timeout",
        "The request did not arrive in time.",
        {},
    ),
    409: (
        "The request does not fit the state of a run, a session or an execution.",
        "session_busy",
        "The session has an active run. Follow it, cancel it, or wait for its end.",
        {"Content-Location": "The path of the active run of a busy session. Absent for other conflicts."},
    ),
    412: (
        "The file is not the one that `If-Match` or `If-None-Match` names.",
        "precondition_failed",
        "The file is not the one that If-Match names.",
        {"ETag": "The validator of the file as it is. Absent if it does not exist."},
    ),
    413: (
        "The body is too large, or its audio or text too long.",
        "body_too_large",
        "The body is too large: at most 16777216 bytes are read.",
        {},
    ),
    414: ("Path and query are too long.", "url_too_long", "Path and query are too long.", {}),
    415: (
        "The media type of the body is not supported.",
        "unsupported_media_type",
        "Unsupported Content-Type. Send application/json.",
        {},
    ),
    416: (
        "The file has no byte of the range.",
        "range_not_satisfiable",
        "The file has 10 bytes.",
        {"Content-Range": "The size of the file, such as `bytes */10`."},
    ),
    422: (
        "A value is invalid. `detail` names the fields.",
        "invalid_field",
        "max_output_tokens: Input should be greater than or equal to 1",
        {},
    ),
    429: (
        "Too many requests or active runs of the key, or too many requests to the service.",
        "rate_limited",
        "Rate limit exceeded (key: 60 requests per 60 s). Retry in 12 s.",
        {
            "Retry-After": RETRY_AFTER,
            "RateLimit-Policy": 'The exceeded rate, such as `"key";q=60;w=60`. Absent for active runs.',
            "RateLimit": 'The rest of it, such as `"key";r=0;t=12`. Absent for active runs.',
        },
    ),
    431: ("The headers are too large.", "headers_too_large", "The headers are too large.", {}),
    500: (
        "A fault of the service. Its log has the details under the request's id.",
        "internal",
        "Internal error. The service's log has the details.",
        {},
    ),
    502: (
        "The provider failed, and the error names it.",
        "provider_unavailable",
        "openai could not be reached.",
        {},
    ),
    503: (
        "The service is shutting down, has too many runs, or has no database; or a provider is busy.",
        "shutting_down",
        "The service is shutting down. Retry in 5 s.",
        {"Retry-After": RETRY_AFTER},
    ),
    507: (
        "The disk of the database, or the workspace, is full. Nothing was started or changed.",
        "no_space",
        "The database cannot write, because its disk is full or broken. Nothing was started.",
        {},
    ),
    504: ("The provider did not answer in time.", "provider_timeout", "openai did not answer within 60 s.", {}),
}
"""The description of each status, an example's code and sentence, and the status's own headers."""


def error_schemas() -> dict[str, Any]:
    """Return the schema of an error, and those that it refers to, by their names."""
    schema = ErrorOut.model_json_schema(ref_template=f"{REFERENCE}{{model}}")
    return {**schema.pop("$defs", {}), "ErrorOut": schema}


def shared(found: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the responses of an operation: errors as references, those of every request added."""
    own = {status: response for status, response in found.items() if status < FIRST_ERROR or "content" in response}
    for status, response in own.items():
        if response["description"] == phrases[status]:
            response["description"] = DESCRIPTIONS[status]
        references = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
        response["headers"] = {**response.get("headers", {}), **references}
    statuses = sorted({*found, *EVERYWHERE} - {*own})
    return own | {status: {"$ref": f"#/components/responses/Error{status}"} for status in statuses}


def of_openai(found: dict[int, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Return the responses of an operation in OpenAI's form, which has one shape for all errors."""
    own = shared({status: response for status, response in found.items() if status < FIRST_ERROR})
    kept: dict[Any, dict[str, Any]] = {status: response for status, response in own.items() if status < FIRST_ERROR}
    return kept | {"default": {"$ref": "#/components/responses/OpenAIError"}}


def components() -> dict[str, Any]:
    """Return the responses with an error, by the names that operations refer to."""
    found: dict[str, Any] = {}
    found["OpenAIError"] = {"description": "The request failed.", "headers": HEADERS, "content": OPENAI_ERROR}
    for status, (description, code, sentence, headers) in ERRORS.items():
        example = {"type": "error", "error": sentence, "message": sentence, "code": code, "detail": []}
        found[f"Error{status}"] = {
            "description": description,
            "headers": {**HEADERS, **response_headers(headers)},
            "content": {JSON: {**ERROR_CONTENT[JSON], "example": example}},
        }
    return found
