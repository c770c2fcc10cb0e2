"""The interface of a forge: find a pull request, and create one."""

import base64
from typing import Any, Final, Protocol

import msgspec

from tools.base import ToolError
from tools.forges.connection import Answer

MAX_REASON: Final = 200


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An open pull request, or merge request, of a forge. `note` says what of the request the forge refused."""

    number: int
    url: str
    note: str = ""


class NewPullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a pull request to create."""

    title: str
    body: str
    head: str
    base: str
    draft: bool = False
    labels: tuple[str, ...] = ()


class Forge(Protocol):
    """The pull requests of one repository. Each call raises `ToolError`."""

    async def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request of two branches of the repository."""
        ...

    async def create(self, new: NewPullRequest) -> PullRequest | None:
        """Create a pull request. None if there is one for these branches already."""
        ...


def basic(user: str, token: str) -> str:
    """Return the value of `Authorization` for git over HTTP (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{user}:{token}'.encode()).decode()}"


def check_answer(answer: Answer, host: str, doing: str) -> Any:
    """Return the JSON of a success. Raises `ToolError`."""
    data = answer.json()
    if 200 <= answer.status < 300 and data is not None:
        return data
    message = data.get("message") if isinstance(data, dict) else None
    reason = f" {str(message)[:MAX_REASON]}" if message else ""
    if answer.status in {401, 403}:
        raise ToolError(f"{host} refuses the token for {doing}.{reason}", code="not_allowed")
    if answer.status == 404:
        raise ToolError(f"{host} does not have the repository, or its token may not see it.", code="not_found")
    raise ToolError(f"{host} answered {doing} with {answer.status}.{reason}", code="failed")


def read_pull_request(data: Any, number: str, url: str) -> PullRequest:
    """Return the pull request with these fields. Raises `ToolError` if they are missing."""
    try:
        return PullRequest(number=int(data[number]), url=str(data[url]))
    except (KeyError, TypeError, ValueError) as error:
        raise ToolError("The forge's answer is not a pull request.", code="failed") from error
