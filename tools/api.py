"""The tools API: lists of tools and executions, output, and decisions about executions that wait."""

from typing import Any, Final
from uuid import UUID

import msgspec
from django.http import HttpRequest
from ninja import Router
from ninja.params import functions as params

from access.auth import KeyAuth, caller
from storage.reader import read
from tools import assembly, queries
from tools.approvals.api import decide
from tools.client_tools.api import store_result
from tools.execution.request import grant_all
from tools.listing import describe_tools
from tools.mcp_client.api import router as prompts_router
from tools.mcp_server.views import router as mcp_router
from tools.output.store import page_of
from tools.schemas import DecisionIn, ExecutionFilters, ExecutionList, ExecutionOut, OutputOut, ResultIn, ToolList
from web.errors import ApiError
from web.plurals import noun_for
from web.schemas import LIMIT, OFFSET, errors

router = Router(tags=["tools"])

READ: Final = KeyAuth("chat", "approve", "audit")
DECIDE: Final = KeyAuth("approve")
CHAT: Final = KeyAuth("chat")

MAX_PAGE_BYTES: Final = 2**20
PAGE_BYTES: Final = 64 * 1_024
FILTERS: Final[Any] = params.Query(...)
BYTES: Final[Any] = params.Query(PAGE_BYTES, ge=1, le=MAX_PAGE_BYTES, description="The most bytes of the page.")
FIRST_BYTE: Final[Any] = params.Query(0, ge=0, le=2**53, description="The first byte of the page.")

router.add_router("", mcp_router)
router.add_router("", prompts_router)

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)
DECISION_ERRORS: Final = ERRORS | errors(409, 413, 415)


@router.get("/tools", response={200: ToolList, **ERRORS})
async def list_tools(request: HttpRequest) -> dict[str, Any]:
    """List the tools that the caller may use, with their params, effects, policy decisions and confinement."""
    scopes = caller(request).scopes
    return describe_tools(assembly.tool_context(), grant_all if scopes.may("audit") else scopes.may_use)


@router.get("/tools/executions", response={200: ExecutionList, **ERRORS}, auth=READ)
async def list_executions(
    request: HttpRequest, filters: ExecutionFilters = FILTERS, limit: int = LIMIT, offset: int = OFFSET
) -> dict[str, Any]:
    """List the caller's executions, newest first; with the scope audit, the executions of all callers."""
    return await read(queries.executions, caller(request).reads, filters.dict(exclude_none=True), limit, offset)


@router.get("/tools/executions/{uuid:execution_id}", response={200: ExecutionOut, **ERRORS}, auth=READ)
async def get_execution(request: HttpRequest, execution_id: UUID) -> dict[str, Any]:
    """Return one execution: the request, the decision and the outcome."""
    return await _execution(request, execution_id)


@router.get("/tools/executions/{uuid:execution_id}/output", response={200: OutputOut, **ERRORS}, auth=READ)
async def get_output(
    request: HttpRequest, execution_id: UUID, offset: int = FIRST_BYTE, limit: int = BYTES
) -> dict[str, Any]:
    """Return a page of the full output: the text that the tool printed, or its result as JSON if it printed nothing."""
    row = await _execution(request, execution_id)
    # The store holds only output that does not fit into the row.
    if row["output_size"] is None:
        result = "" if row["data"] is None else msgspec.json.encode(row["data"]).decode()
        page = page_of(result, offset, limit)
    elif len(row["output"].encode()) == row["output_size"]:
        page = page_of(row["output"], offset, limit)
    else:
        stored = await assembly.outputs().page(row["owner"], row["id"], offset, limit)
        if stored is None:
            raise ApiError(
                404,
                "not_kept",
                "The full output is not stored here, or it was pruned. The execution shows its beginning and its end.",
            )
        page = stored
    if offset > page.size:
        raise ApiError(422, "invalid_field", f"offset: the output has {page.size} {noun_for(page.size, 'byte')}.")
    return msgspec.structs.asdict(page)


@router.post(
    "/tools/executions/{uuid:execution_id}/approve", response={200: ExecutionOut, **DECISION_ERRORS}, auth=DECIDE
)
async def approve_execution(request: HttpRequest, execution_id: UUID, body: DecisionIn) -> dict[str, Any]:
    """Approve a waiting execution. It runs with exactly the params of this hash. Calling this again is safe."""
    owner = caller(request).owner
    return await decide(owner, execution_id, "approved", params_sha256=body.params_sha256, note=body.note)


@router.post("/tools/executions/{uuid:execution_id}/deny", response={200: ExecutionOut, **DECISION_ERRORS}, auth=DECIDE)
async def deny_execution(request: HttpRequest, execution_id: UUID, body: DecisionIn) -> dict[str, Any]:
    """Deny a waiting execution. The run continues, and its model reads the note. Calling this again is safe."""
    owner = caller(request).owner
    return await decide(owner, execution_id, "denied", params_sha256=body.params_sha256, note=body.note)


@router.post("/tools/executions/{uuid:execution_id}/result", response={200: ExecutionOut, **DECISION_ERRORS}, auth=CHAT)
async def give_result(request: HttpRequest, execution_id: UUID, body: ResultIn) -> dict[str, Any]:
    """Give the result of a client tool that the run waits for. Calling this again with the same result is safe."""
    return await store_result(caller(request), execution_id, body.data, body.error)


async def _execution(request: HttpRequest, execution_id: UUID) -> dict[str, Any]:
    found = await read(queries.execution, execution_id, caller(request).reads)
    if found is None:
        raise ApiError(404, "not_found", "There is no such execution.")
    return found
