"""The API: its routers, its authentication, and the shape of its errors."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import get_script_prefix
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.operation import Operation

from access.api import router as keys_router
from access.auth import KeyAuth
from chat.api.errors import REFUSALS
from chat.api.router import router as chat_router
from orchestrator_site.health_api import router as health_router
from orchestrator_site.http.error_responses import django_response
from orchestrator_site.http.strict_parser import StrictParser
from orchestrator_site.metrics_api import router as metrics_router
from orchestrator_site.openapi.document import Document, document_of
from orchestrator_site.settings import VERSION
from speech.api.views import router as speech_router
from spending.api import router as usage_router
from tools.api import router as tools_router
from web.errors import ApiError
from web.validation import invalid_fields


class OrchestratorAPI(NinjaAPI):
    """The endpoints, with the service's own document of them. An operation's id is its view's name."""

    def get_openapi_schema(self, **options: Any) -> Document:
        return document_of(self, get_script_prefix().rstrip("/") or "/")

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__


api = OrchestratorAPI(
    title="Orchestrator Service",
    version=VERSION,
    parser=StrictParser(),
    auth=KeyAuth(),
)
api.add_router("", chat_router)
api.add_router("", tools_router)
api.add_router("", speech_router)
api.add_router("", usage_router)
api.add_router("", keys_router)
api.add_router("", health_router)
api.add_router("", metrics_router)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Return the error that names each invalid field, and never repeats its value."""
    if request.method != "GET" and not request.body:
        return django_response(ApiError(400, "invalid_json", "The body is empty: send a JSON object."))
    # ninja puts `body` and the parameter's name in front of a body's field, `query` or `path` in front of the others.
    body = [{**problem, "loc": problem["loc"][2:]} for problem in error.errors if problem["loc"][0] == "body"]
    others = [{**problem, "loc": problem["loc"][1:]} for problem in error.errors if problem["loc"][0] != "body"]
    return django_response(invalid_fields([*body, *others]))


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Return the parser's own error, which ninja wraps in a less specific one."""
    if isinstance(error.__cause__, ApiError):
        return django_response(error.__cause__)
    return django_response(ApiError(error.status_code, "bad_request", str(error)))


@api.exception_handler(Http404)
def missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return django_response(ApiError(404, "not_found", "Not found. GET /openapi.json lists all endpoints."))


def _refuse_as(refusal_of: Callable[[Any], ApiError]) -> Any:
    def handle(request: HttpRequest, error: Exception) -> HttpResponse:
        return django_response(refusal_of(error))

    return handle


for kind, refusal_of in {**REFUSALS, ApiError: lambda refusal: refusal}.items():
    api.add_exception_handler(kind, _refuse_as(refusal_of))
