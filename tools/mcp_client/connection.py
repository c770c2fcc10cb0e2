"""Calls and lists of tools of MCP servers, within their limits.

A call is preceded by a check of the server's tools in its session, which belongs to one owner. A server receives a
call at most once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from mcp import types
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from access.caller import OPERATOR
from tools.base import ToolError, ToolErrorCode
from tools.mcp_client.servers import McpServer
from tools.mcp_client.session import Session, answered
from tools.mcp_client.sessions import Sessions, sessions
from tools.mcp_client.tool_set import InvalidToolSet, ToolSet, visible
from tools.mcp_client.transports.delivery import AnswerRefused, Ask, Delivery, TooLarge, current, no_answer
from tools.mcp_oauth import flow

MAX_MESSAGE_CHARS: Final = 1_000
MAX_QUESTIONS: Final = 4
"""Questions of the server during one call that can be answered. Others are declined."""

MAX_ROUNDS: Final = 5
"""Requests of one call: the call itself, and the same with answers to questions of the server."""

ATTEMPTS: Final = 2
"""Sessions for one call. The second is only used if the server cannot have received the call in the first."""

UNKNOWN: Final = "Whether the call had an effect is unknown, and it was not repeated."
DECLINED: Final = "The server asked for input, which was declined"
NO_INPUT: Final = (
    "The server asks for input before it continues, which is not supported here: it did not finish the call."
)
CLOSED: Final = ("Connection closed", "SSE stream ")
"""The beginnings of the SDK's messages about a connection that was closed."""

CLIENT_ERRORS: Final = 400
SERVER_ERRORS: Final = 500
"""The first of the statuses of HTTP that say that the request is wrong, and that the server failed."""

CALL_RESULT: Final[TypeAdapter[Any]] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)
R = TypeVar("R")
Progressed = Callable[[str], Awaitable[None]]
"""Receives a text about the progress of a call."""

Check = Callable[[ToolSet], Awaitable[None]]
"""Receives the server's tools before a call. Raises `ToolError` if the call must not be made."""


class Unauthorized(ToolError):
    """The server does not accept the credentials of the session."""


class Unsent(Exception):
    """The call failed before the server can have received it. The message says why."""


async def list_tools(server: McpServer) -> ToolSet:
    """Return the tools that a server lists for the operator, in a session of its own. Raises `ToolError`."""
    found: list[ToolSet] = []

    async def keep(tools: ToolSet) -> None:
        found.append(tools)

    async def nothing(session: Session, attempt: "_Attempt") -> bool:
        return True

    own = Sessions()
    try:
        # The tools come as they do before a call, so that both see exactly the same list.
        authorized = await flow.authorized(server, OPERATOR)
        await _Attempt(authorized, time.monotonic() + server.total_seconds).run(own, "", keep, nothing)
    except Unsent as error:
        raise ToolError(str(error), code="failed") from None
    finally:
        await own.close()
    return found[0]


async def call_tool(
    server: McpServer,
    owner: str,
    tool: str,
    arguments: dict[str, Any],
    *,
    check: Check,
    progressed: Progressed,
    ask: Ask = no_answer,
) -> dict[str, Any]:
    """Call a tool for an owner, and return the result in the protocol's form. Raises `ToolError`.

    A server receives the call at most once, except that it may ask for the call again with answers. Cancelling this
    cancels the call at the server.
    """

    async def send(session: Session, attempt: "_Attempt") -> dict[str, Any]:
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            # Only messages count: pings of the stream would let a hung call live for ever.
            attempt.await_message()
            share = f"{progress:g}" if total is None else f"{progress:g} of {total:g}"
            await progressed(attempt.without_token(f"{share}: {message}" if message else share))

        answers: dict[str, Any] = {}
        for _ in range(MAX_ROUNDS):
            params = types.CallToolRequestParams(name=tool, arguments=arguments, **answers)
            # Not the SDK's `call_tool`: it would match the result with a schema of the server, whose patterns may
            # take forever.
            result = await session.ask(types.CallToolRequest(params=params), CALL_RESULT, on_progress)
            if result.get("resultType") != "input_required":
                break
            questions = types.InputRequiredResult.model_validate(result).input_requests or {}
            asked = {key: one.params for key, one in questions.items() if isinstance(one, types.ElicitRequest)}
            # Sampling and roots are off.
            if not asked or len(asked) != len(questions):
                raise ToolError(NO_INPUT, code="failed")
            given = {key: await answered(attempt.delivery, one) for key, one in asked.items()}
            answers = {"input_responses": given, "request_state": result.get("requestState")}
        else:
            raise ToolError(NO_INPUT, code="failed")
        if declined := attempt.delivery.declined:
            # Behind the result itself, as a part of it.
            note = f"{DECLINED}: {'; '.join(declined)}"
            result["content"] = [*(result.get("content") or []), {"type": "text", "text": note}]
        return result

    return await request(server, owner, check, send, ask)


async def request(
    server: McpServer,
    owner: str,
    check: Check,
    send: "Callable[[Session, _Attempt], Awaitable[R]]",
    ask: Ask = no_answer,
) -> R:
    """Return what `send` returns, in a session of the owner and after a check. Raises `ToolError`."""
    deadline = time.monotonic() + server.total_seconds
    # Another token makes another session.
    authorized = await flow.authorized(server, owner)
    for left in reversed(range(ATTEMPTS)):
        try:
            found = await _Attempt(authorized, deadline, ask).run(sessions(), owner, check, send)
            return flow.without_token(authorized, found)
        except Unauthorized:
            if server.oauth:
                await flow.rejected(server, owner)
            raise
        except Unsent as error:
            if not left:
                raise ToolError(f"{error} Nothing was called.", code="failed") from None
    raise AssertionError


class _Attempt:
    """One use of a session. All times are bounded by one timer, which is moved."""

    def __init__(self, server: McpServer, deadline: float, ask: Ask = no_answer) -> None:
        self._server = server
        self._deadline = deadline
        # One timer that is moved, because each phase has a limit of its own and only one can expire.
        self._timer = asyncio.timeout(None)
        self._is_calling = False
        self._asked = 0
        self._questions: set[asyncio.Future[dict[str, Any] | None]] = set()
        self._ask = ask
        self.delivery = Delivery(self.ask)

    async def run(
        self, pool: Sessions, owner: str, check: Check, send: "Callable[[Session, _Attempt], Awaitable[R]]"
    ) -> R:
        """Take a session, check the server's tools, and return what `send` returns."""
        before = current.set(self.delivery)
        session: Session | None = None
        try:
            async with self._timer:
                self._expire_in(self._server.connect_seconds)
                async with pool.session(self._server, owner, Session) as session:
                    return await self._use(session, check, send)
        except ToolError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary to the SDK
            if session is not None and session.has_ended:
                await session.until_broken()
            raise self._failure(error, session) from None
        finally:
            current.reset(before)

    async def _use(self, session: Session, check: Check, send: "Callable[[Session, _Attempt], Awaitable[R]]") -> R:
        session.begin(self.delivery, self.await_message)
        try:
            await check(await session.tools())
            self._is_calling = True
            self.await_message()
            return await send(session, self)
        except BaseException as error:
            # An error that the server answers with says nothing about the session, and neither does a cancelled call.
            is_answer = isinstance(error, (ToolError, MCPError))
            is_answer = is_answer and not (_is_closed(error) or self.delivery.session_ended)
            if not is_answer and (isinstance(error, Exception) or self._timer.expired()):
                session.is_spent = True
            raise
        finally:
            session.end(self.delivery)
            if questions := tuple(self._questions):
                for question in questions:
                    question.cancel()
                # Each closes its execution, which must not wait for a call that is over.
                await asyncio.wait(questions)

    def without_token(self, shown: R) -> R:
        """Return what a server sent without the owner's token, which it may repeat."""
        return flow.without_token(self._server, shown)

    async def ask(self, message: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the answer to a question of the server, which need not send anything meanwhile."""
        self._asked += 1
        if self._asked > MAX_QUESTIONS:
            return None
        question = asyncio.ensure_future(self._ask(self.without_token(message), self.without_token(schema)))
        self._questions.add(question)
        self._expire_in(self._server.total_seconds)
        try:
            # Not awaited itself: the end of the call cancels the question, and not the task that the SDK asks it in.
            await asyncio.wait([question])
        finally:
            question.cancel()
            self._questions.discard(question)
            self.await_message()
        return None if question.cancelled() else question.result()

    def await_message(self) -> None:
        """Give the server its time for the next message."""
        if not self._questions:
            self._expire_in(self._server.silence_seconds)

    def _expire_in(self, seconds: float) -> None:
        seconds = min(seconds, self._deadline - time.monotonic())
        # A message may still arrive while the timer has expired.
        if not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time() + seconds)

    def _failure(self, error: Exception, session: Session | None) -> ToolError | Unsent:
        """Return the error for the caller: of the call, or that it was not sent."""
        name, sent = f"The MCP server {self._server.name}", self.delivery.sent
        unknown = f" {UNKNOWN}" if sent else ""
        problem = self.delivery.problem or (session.problem if session else None)
        code: ToolErrorCode = "failed"
        if isinstance(error, TimeoutError):
            code, what = "timed_out", f"{self._what_expired()}.{unknown}"
        elif isinstance(problem or error, TooLarge) or self.delivery.problem is not None:
            code = "too_large" if isinstance(problem or error, TooLarge) else "failed"
            what = f"cannot be used: {problem or error}.{' The call was made.' if sent else ''}"
        elif isinstance(error, InvalidToolSet):
            what = f"cannot be used. {error}"
        elif self.delivery.session_ended and not sent:
            return Unsent(f"{name} ended the session.")
        elif isinstance(error, MCPError) and not _is_closed(error):
            return _answered(self._server, error, self.delivery.status, unknown)
        elif isinstance(error, (ValueError, RuntimeError)):
            what = f"answered with something that the protocol does not allow.{unknown}"
        elif sent:
            why = f"did not finish the call: {problem}" if problem else "closed the connection during the call"
            code, what = "interrupted", f"{why}. {UNKNOWN}"
        elif isinstance(error, AnswerRefused):
            # It did not start, so another start would end in the same way.
            what = f"cannot be used: {error}. Nothing was called."
        elif problem is not None:
            return Unsent(f"{name} cannot be used: {problem}.")
        else:
            # Only the kind of the error: its message may have an address with a secret in its query.
            cause = (session.failure if session else None) or error
            kind = "the connection was closed" if isinstance(cause, MCPError) else type(cause).__name__
            return Unsent(f"{name} cannot be reached ({kind}).")
        return ToolError(f"{name} {what}", code=code)

    def _what_expired(self) -> str:
        server = self._server
        if time.monotonic() >= self._deadline:
            return f"did not end the call within {server.total_seconds:g} s (total_seconds)"
        if self._is_calling:
            return f"sent nothing for {server.silence_seconds:g} s (silence_seconds)"
        return f"did not answer within {server.connect_seconds:g} s (connect_seconds)"


def _is_closed(error: BaseException) -> bool:
    """Return whether an error says that the connection was closed, and is not one that the server answered with."""
    # Servers use this code for errors of their own too: JSON-RPC leaves it to them.
    if not isinstance(error, MCPError) or error.code != types.CONNECTION_CLOSED:
        return False
    return str(error.message).startswith(CLOSED)


def _answered(server: McpServer, error: MCPError, status: int | None, unknown: str) -> ToolError:
    """Return the error about one that the server answered with."""
    name, said = f"The MCP server {server.name}", flow.without_token(server, visible(str(error.message)))
    message = said[:MAX_MESSAGE_CHARS].rstrip(".")
    if status in {401, 403}:
        advice = "Call the tool again." if server.oauth else "Check its headers in MCP_SERVERS_FILE."
        return Unauthorized(f"{name} cannot be used: it answered with HTTP {status}. {advice}", code="denied")
    if error.code == types.PARSE_ERROR:
        return ToolError(f"{name} answered with something that the protocol does not allow.{unknown}", code="failed")
    if status is not None and status >= SERVER_ERRORS:
        # A gateway may give up on a call that the server continues.
        code: ToolErrorCode = "interrupted" if unknown else "failed"
        return ToolError(f"{name} answered with HTTP {status}: {message}.{unknown}", code=code)
    how = f" (HTTP {status})" if status is not None and status >= CLIENT_ERRORS else ""
    return ToolError(f"{name} answered with an error{how}: {message}.", code="failed")
