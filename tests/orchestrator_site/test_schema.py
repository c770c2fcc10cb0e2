"""The service against its own OpenAPI document.

Schemathesis makes valid and invalid requests over a real socket. No response is a fault, and each is documented.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import count, product
from typing import Any, Final

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import Failure, FailureGroup

from chat.engine.model_port import CompletionEvent, CompletionRequest, Finished
from chat.providers.scripted import Scripted, text
from tests.conftest import Start
from tests.streams import events

pytestmark = pytest.mark.slow

EXAMPLES: Final = int(os.environ.get("SCHEMA_EXAMPLES", "100"))
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OF_BODIES: Final = [response_schema_conformance]
"""Schemathesis sees an event as an object with a text `data`; the OpenAPI document describes that text."""

KEY: Final = "of-the-service-itself"
AT_ONCE: Final = 5
UNMATCHED: Final = 502
"""The status of an answer that does not match the schema that was asked for."""

SECONDS: Final = 60.0
"""Seconds that one response may take; streams end by themselves."""


class Talker(Scripted):
    """A model that answers every request."""

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        yield text("Hi")
        yield Finished(reason="stop")


def check_events(case: Case[Any], frames: bytes) -> None:
    """Check that each event matches the documented schema; raise `Failure` otherwise."""
    document = case.operation.schema.raw_schema
    union = {"$ref": "#/components/schemas/RunEvent", "components": document["components"]}
    event_of = jsonschema_rs.validator_for(union)
    for event in events(frames):
        data = {name: value for name, value in event.items() if name != "id"}
        if not event_of.is_valid(data):
            raise Failure(
                operation=case.operation.label, title="An event is not as the document says", message=str(data)
            )


class Tried:
    """The outcomes of a number of examples."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: dict[tuple[str, str, int], str] = {}

    def one(self, case: Case[Any], session: requests.Session, base: str) -> None:
        response = case.call(base, session, headers={"Authorization": f"Bearer {KEY}"}, timeout=SECONDS)
        self.statuses[response.status_code] += 1
        is_stream = response.headers.get("content-type", [""])[0].startswith("text/event-stream")
        try:
            if is_stream and case.path.startswith("/chat/"):
                check_events(case, response.content)
            excluded = OF_BODIES if is_stream else []
            # The model answers every request with the same text, which no schema of a structured answer asks for.
            if response.status_code == UNMATCHED and b'"output_invalid"' in response.content:
                excluded = [not_a_server_error]
            case.validate_response(response, checks=CHECKS, excluded_checks=excluded)
        except (Failure, FailureGroup) as failure:
            problem = "; ".join(map(str, getattr(failure, "exceptions", [failure])))
            place = case.operation.label, type(failure).__name__, response.status_code
            self.failures.setdefault(place, f"{problem[:1_000]}\n{case.as_curl_command()[:1_000]}")


class Trial:
    """A service under test; `known` are ids of existing records."""

    def __init__(self, base: str, known: dict[str, str]) -> None:
        self._base = base
        self._known = known
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {KEY}"

    def run(self, examples: int) -> Tried:
        """Run at least this many examples, valid and invalid, distributed evenly over the operations."""
        schema = schemathesis.openapi.from_url(f"{self._base}/openapi.json")
        operations = [operation.ok() for operation in schema.get_all_operations()]
        tried = Tried()
        with self._session:
            for number in count():
                for operation, mode in product(operations, GenerationMode):
                    with suppress(Unsatisfiable):  # An operation without parameters and body has no invalid request.
                        self._try(operation.as_strategy(mode), number, tried)
                if tried.statuses.total() >= examples:
                    return tried
        return tried

    def _try(self, cases: Any, number: int, tried: Tried) -> None:
        @seed(number)
        @settings(
            max_examples=AT_ONCE,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, is_known=st.booleans())
        def one(case: Case[Any], is_known: bool) -> None:
            if is_known and case.path_parameters:
                case.path_parameters = case.path_parameters | {
                    name: self._known[name] for name in case.path_parameters if name in self._known
                }
            tried.one(case, self._session, self._base)

        one()


async def test_every_response_matches_the_openapi_document(start: Start, settings: Any) -> None:
    settings.API_KEY = KEY
    api = await start(Talker())
    api.session.headers["Authorization"] = f"Bearer {KEY}"
    answer = await api.ask(message="Hi", tool_calls=[{"name": "fs.list", "params": {}}])
    known = {
        "session_id": answer.headers["X-Session-Id"],
        "run_id": answer.headers["X-Run-Id"],
        "execution_id": answer.one("tool_call")["execution_id"],
    }
    tried = await asyncio.to_thread(Trial(api.base_url, known).run, EXAMPLES)
    print(sum(tried.statuses.values()), "examples:", dict(tried.statuses))  # noqa: T201 - shown with -s
    assert not tried.failures, "\n\n".join(f"{place}: {problem}" for place, problem in tried.failures.items())
    assert tried.statuses[200] > 0
