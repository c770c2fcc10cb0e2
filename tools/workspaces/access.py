"""Access to files over the API: the policy's decision about each, as about a caller's `fs.read` or `fs.write`."""

from typing import Final, Literal

from tools import conf
from tools.base import Permits, ToolError, ToolErrorCode
from tools.policy import FILE_TOOLS, PATH, PolicyInput
from web.errors import ApiError

STATUSES: Final[dict[ToolErrorCode, int]] = {
    "denied": 403,
    "not_allowed": 403,
    "not_found": 404,
    "outside_workspace": 404,
    "conflict": 409,
    "too_large": 413,
    "workspace_full": 507,
    "timed_out": 503,
    "failed": 503,
}


def permits(tool: Literal["fs.read", "fs.write"]) -> Permits:
    """Return the test whether a caller may use a file. A file that needs an approval is denied: only tools can wait."""
    policy, effect = conf.policy(), FILE_TOOLS[tool]
    return lambda path: (
        policy.decide(PolicyInput(tool=tool, effect=effect, source="caller", facets={PATH: (path,)})) == "allow"
    )


def tool_api_error(error: ToolError) -> ApiError:
    """Return the HTTP error of a file that cannot be used."""
    return ApiError(STATUSES.get(error.code, 422), error.code, str(error))
