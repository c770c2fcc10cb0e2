"""The executor: validation, recording, and their order.

Covers `tools.execution.outcome`, `tools.execution.rows`, `tools.execution.task`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec
import pytest
from django.conf import settings

from spending.accounts import Payer
from storage.writer import writer
from tools.base import (
    Approval,
    Execution,
    Failed,
    JsonParams,
    Opened,
    Output,
    Preview,
    Progress,
    Succeeded,
    Tool,
    ToolError,
    ToolRequest,
    ToolSpec,
    Waiting,
    json_facets,
    json_implied,
    tool,
)
from tools.changes.log import ChangeStore
from tools.execution.context import ToolContext
from tools.execution.executor import UNSTARTED, ToolExecutor
from tools.execution.offered import offered_tools
from tools.execution.request import grant_all
from tools.models import ToolExecution
from tools.output.live import MAX_LIVE_CHARS, NO_MORE
from tools.output.masking import Masker
from tools.output.rendering import show
from tools.output.store import OutputStore
from tools.policy import parse
from tools.registry import DuplicateTool, Registry

pytestmark = pytest.mark.django_db(transaction=True)


async def greet(
    greeting: str,
    execution: Execution,
    /,
    *,
    name: Annotated[str, msgspec.Meta(description="Whom to greet.", min_length=1)],
    times: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1,
    tone: Literal["warm", "cool"] | None = None,
) -> dict[str, Any]:
    """Greets a person."""
    if name == "nobody":
        raise ToolError("There is nobody.", code="not_found")
    if name == "fault":
        raise ZeroDivisionError
    if name == "forever":
        await asyncio.Event().wait()
    for _ in range(times):
        await execution.emit("stdout", f"{greeting} {name}\n")
    return {"greeted": name, "tone": tone}


@pytest.fixture
def greeting() -> Tool:
    return tool("people.greet", "read", greet, "Hello")


def any_params(result: Any) -> Tool:
    """Return a tool with any JSON object as its params, as tools from outside may have."""

    async def run(params: Any, execution: Execution) -> Any:
        return result

    return Tool(
        spec=ToolSpec(name="any.json", description="", parameters={}),
        effect="read",
        params=JsonParams,
        run=run,
        schema='{"type": "object"}',
        facets=json_facets,
        implied=json_implied,
    )


def executor(
    *tools: Tool, offered: tuple[Tool, ...] | None = None, keep: Any = writer.write, policy: str = "", **changes: Any
) -> ToolExecutor:
    place = Payer(owner="operator", session_id=uuid4(), run_id=uuid4())
    common = ToolContext(
        registry=Registry(tools),
        policy=parse(policy),
        masker=Masker(["the-house-secret"]),
        outputs=OutputStore(Path(settings.TOOL_OUTPUT_DIR), 100_000),
        changes=ChangeStore(Path(settings.TOOL_OUTPUT_DIR) / "changes", 100_000),
        result_bytes=1_000,
        approval_seconds=60,
        client_seconds=60,
    )
    given = msgspec.structs.replace(common, **changes)
    offering = offered_tools(tools if offered is None else offered, given.policy, grant_all)
    return ToolExecutor(given, place, keep, offered=offering, stored=True)


def asking(arguments: str, *, name: str = "people.greet", source: Literal["caller", "model"] = "model") -> ToolRequest:
    return ToolRequest(tool=name, arguments=arguments, source=source, call_id="c1")


async def opened(executor: ToolExecutor, request: ToolRequest) -> list[Progress]:
    return [step async for step in executor.execute(executor.inspect(request))]


async def row() -> ToolExecution:
    return await ToolExecution.objects.aget()


def test_signature_of_a_function_is_its_schema(greeting: Tool) -> None:
    assert greeting.spec.description == "Greets a person."
    assert greeting.spec.parameters == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Whom to greet.", "minLength": 1},
            "times": {"type": "integer", "minimum": 1, "maximum": 3, "default": 1},
            "tone": {"anyOf": [{"enum": ["cool", "warm"]}, {"type": "null"}], "default": None},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("rule", ["allow", "ask", "deny * path=x; allow"])
@pytest.mark.parametrize("source", ["model", "caller"])
@pytest.mark.parametrize("levels", [101, 450, 950, 20_000])
async def test_params_that_are_nested_too_deeply_are_refused(
    levels: int, source: Literal["caller", "model"], rule: str
) -> None:
    arguments = f'{{"body": {"[" * levels}{"]" * levels}}}'
    steps = await opened(
        executor(any_params({}), policy=f"{rule} any.json"), asking(arguments, name="any.json", source=source)
    )
    refused = steps[-1]
    assert isinstance(refused, Failed)
    assert (refused.code, (await row()).params[:10]) == ("invalid_params", '{"body": [')


@pytest.mark.parametrize("levels", [1_000, 20_000])
async def test_result_that_is_nested_too_deeply_is_a_failure_of_the_call(levels: int) -> None:
    deep: list[Any] = []
    for _ in range(levels):
        deep = [deep]
    steps = await opened(executor(any_params({"deep": deep})), asking("{}", name="any.json"))
    failed = steps[-1]
    assert isinstance(failed, Failed)
    assert failed.error == "The call was made, and its result is nested too deeply to be kept."


async def test_execution_is_recorded_completely(greeting: Tool) -> None:
    steps = await opened(executor(greeting), asking('{"name": "Ann", "times": 2}'))
    assert [type(step) for step in steps] == [Opened, Output, Output, Succeeded]
    kept = await row()
    assert str(kept.id) == steps[0].execution_id
    assert (kept.tool, kept.source, kept.call_id, kept.status) == ("people.greet", "model", "c1", "succeeded")
    assert (kept.params, kept.data) == ({"name": "Ann", "times": 2}, {"greeted": "Ann", "tone": None})
    assert kept.ended is not None
    assert kept.duration_ms is not None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("{}", "invalid_params", "missing required field `name`"),
        ('{"name": 7}', "invalid_params", "Expected `str`, got `int` - at `$.name`"),
        ('{"name": ""}', "invalid_params", "length >= 1"),
        ('{"name": "a", "times": 9}', "invalid_params", "<= 3"),
        ('{"name": "a", "tone": "loud"}', "invalid_params", "Invalid enum value 'loud'"),
        ('{"name": "a", "extra": 1}', "invalid_params", "unknown field `extra`"),
        ("[]", "invalid_params", "Expected `object`, got `array`"),
        ('{"name": "a"', "invalid_params", "not a JSON object"),
        ("[" * 10_000, "invalid_params", ""),
        ('{"name": "nobody"}', "not_found", "There is nobody."),
        ('{"name": "fault"}', "failed", "internal error"),
    ],
)
async def test_rejection_names_the_valid_choices_and_is_recorded(
    greeting: Tool, arguments: str, code: str, said: str
) -> None:
    steps = await opened(executor(greeting), asking(arguments))
    failed = steps[-1]
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert said in failed.error
    kept = await row()
    assert (kept.status, kept.code, kept.error) == ("failed", code, failed.error)


async def test_unknown_tool_is_rejected_with_the_known_ones(greeting: Tool) -> None:
    steps = await opened(executor(greeting), asking("{}", name="people.shout"))
    assert steps[-1] == Failed(error="There is no tool 'people.shout'; there are people.greet.", code="unknown_tool")


async def test_model_may_call_only_offered_tools(greeting: Tool) -> None:
    narrow = executor(greeting, offered=())
    assert narrow.specs() == ()
    refused = (await opened(narrow, asking('{"name": "Ann"}')))[-1]
    assert isinstance(refused, Failed)
    assert refused.code == "unknown_tool"
    assert isinstance((await opened(narrow, asking('{"name": "Ann"}', source="caller")))[-1], Succeeded)


async def test_intent_is_committed_before_the_tool_starts() -> None:
    seen: list[str] = []

    async def look() -> dict[str, Any]:
        """Read its own row."""
        seen.append((await row()).status)
        return {}

    await opened(executor(tool("own.row", "read", look)), asking("{}", name="own.row"))
    assert seen == ["running"]


async def test_tool_does_not_start_if_its_intent_cannot_be_stored(greeting: Tool) -> None:
    async def refuse(_: Callable[[], None]) -> Awaitable[None]:
        raise OSError("no database")

    started: list[int] = []

    async def start() -> dict[str, Any]:
        """Start."""
        started.append(1)
        return {}

    with pytest.raises(OSError, match="no database"):
        await opened(executor(tool("a.b", "write", start), keep=refuse), asking("{}", name="a.b"))
    assert started == []


async def test_stopped_execution_is_recorded_as_cancelled(greeting: Tool) -> None:
    running = asyncio.create_task(opened(executor(greeting), asking('{"name": "forever"}')))
    async with asyncio.timeout(5):
        while not await ToolExecution.objects.filter(status="running").aexists():
            await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ((await row()).status, (await row()).code) == ("cancelled", "cancelled")


class Held:
    """A commit function that delays the reply to one job, counted from 0, until `gate` is open."""

    def __init__(self, which: int) -> None:
        self.left = which
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()

    async def after(self, job: Callable[[], Any]) -> Any:
        result = await writer.write(job)
        await self._hold()
        return result

    async def before(self, job: Callable[[], Any]) -> Any:
        await self._hold()
        return await writer.write(job)

    async def _hold(self) -> None:
        self.left -= 1
        if self.left == -1:
            self.reached.set()
            await self.gate.wait()


@pytest.mark.parametrize("policy", ["", "ask *"])
async def test_execution_stopped_before_its_start_is_recorded_as_cancelled(greeting: Tool, policy: str) -> None:
    held = Held(0)
    entering = executor(greeting, policy=policy, keep=held.after)
    running = asyncio.create_task(opened(entering, asking('{"name": "Ann"}')))
    await asyncio.wait_for(held.reached.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = await row()
    assert (kept.status, kept.code, kept.error) == ("cancelled", "cancelled", UNSTARTED.error)


async def test_approved_execution_stopped_before_its_start_is_recorded_as_cancelled(greeting: Tool) -> None:
    held = Held(1)
    entering, request = executor(greeting, policy="ask *", keep=held.after), asking('{"name": "Ann"}')
    waiting = (await opened(entering, request))[-1]
    assert isinstance(waiting, Waiting)
    approval = Approval(
        execution_id=waiting.execution_id, decision="approved", params_sha256=waiting.params_sha256, by="Alice"
    )

    async def going_on() -> list[Progress]:
        return [step async for step in entering.resume(entering.inspect(request), approval)]

    running = asyncio.create_task(going_on())
    await asyncio.wait_for(held.reached.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = await row()
    assert (kept.status, kept.code, kept.error) == ("cancelled", "cancelled", UNSTARTED.error)


async def test_result_is_recorded_even_if_the_run_is_stopped_meanwhile(greeting: Tool) -> None:
    held = Held(1)
    running = asyncio.create_task(opened(executor(greeting, keep=held.before), asking('{"name": "Ann"}')))
    await asyncio.wait_for(held.reached.wait(), 5)
    running.cancel()
    held.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = await row()
    assert (kept.status, kept.data) == ("succeeded", {"greeted": "Ann", "tone": None})


async def test_denied_call_does_not_run_and_is_recorded(greeting: Tool) -> None:
    guarded = executor(greeting, policy="deny people.greet name=Bob")
    assert isinstance((await opened(guarded, asking('{"name": "Ann"}')))[-1], Succeeded)
    refused = (await opened(guarded, asking('{"name": "Bob"}')))[-1]
    assert isinstance(refused, Failed)
    assert refused.code == "denied"
    assert await ToolExecution.objects.filter(status="denied").acount() == 1


async def test_tool_that_is_always_denied_is_not_offered(greeting: Tool) -> None:
    assert executor(greeting, policy="deny people.*").specs() == ()
    assert executor(greeting, policy="deny people.* source=caller").specs() == (greeting.spec,)
    refused = (await opened(executor(greeting, policy="deny people.*"), asking('{"name": "Bob"}')))[-1]
    assert isinstance(refused, Failed)
    assert refused.code == "denied"


async def test_disabled_tool_reports_the_reason() -> None:
    off = executor(tool("people.greet", "read", greet, "Hello", disabled="ENABLE_PEOPLE is false"))
    assert off.specs() == ()
    assert (await opened(off, asking("{}")))[-1] == Failed(
        error="people.greet is off: ENABLE_PEOPLE is false.", code="disabled"
    )


async def test_secrets_are_masked_in_params_output_result_and_error(greeting: Tool) -> None:
    steps = await opened(executor(greeting), asking('{"name": "the-house-secret"}'))
    failed = await opened(executor(greeting), asking('{"name": 1, "the-house-secret": 2}'))
    assert "the-house-secret" not in f"{steps}{failed}"
    assert Output(stream="stdout", text="Hello [secret]\n") in steps
    async for kept in ToolExecution.objects.all():
        assert "the-house-secret" not in f"{kept.params}{kept.data}{kept.error}{kept.output}"


async def test_base64_in_a_result_is_never_masked() -> None:
    looks_like_a_key = "AIza" + "x" * 36

    async def give() -> dict[str, str]:
        """Return."""
        return {"audio_base64": looks_like_a_key, "said": looks_like_a_key}

    done = (await opened(executor(tool("a.give", "read", give)), asking("{}", name="a.give")))[-1]
    assert isinstance(done, Succeeded)
    assert done.data == {"audio_base64": looks_like_a_key, "said": "[secret]x"}


async def test_tool_receives_its_params_unmasked() -> None:
    seen: list[str] = []

    async def note(*, text: str) -> None:
        """Note."""
        seen.append(text)

    await opened(executor(tool("a.note", "write", note)), asking('{"text": "the-house-secret"}', name="a.note"))
    assert seen == ["the-house-secret"]


@pytest.mark.parametrize(
    "arguments",
    [
        '{"name": ' + "[" * 900 + "]" * 900 + "}",
        '{"name": ' + "9" * 4_000 + "}",
        '{"name": ' + '{"a":' * 900 + "1" + "}" * 901,
    ],
    ids=["lists", "digits", "objects"],
)
async def test_oversized_params_are_rejected_and_recorded(greeting: Tool, arguments: str) -> None:
    failed = (await opened(executor(greeting), asking(arguments)))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "invalid_params"
    assert (await row()).status == "failed"


async def test_long_param_is_a_digest_in_the_event_and_complete_in_the_row() -> None:
    async def note(*, text: str, audio_base64: str) -> None:
        """Note."""

    arguments = msgspec.json.encode({"text": "long " * 2_000, "audio_base64": "QUJD"}).decode()
    steps = await opened(executor(tool("a.note", "write", note)), asking(arguments, name="a.note"))
    assert isinstance(steps[0], Opened)
    assert steps[0].params["text"]["size"] == 10_000
    kept = await row()
    assert kept.params["text"] == "long " * 2_000
    assert set(kept.params["audio_base64"]) == {"sha256", "size"}


async def test_long_result_is_complete_in_the_store_and_short_elsewhere() -> None:
    async def recite() -> dict[str, Any]:
        """Recites."""
        return {"lines": [f"line {number}" for number in range(5_000)]}

    steps = await opened(executor(tool("a.recite", "read", recite)), asking("{}", name="a.recite"))
    done = steps[-1]
    assert isinstance(done, Succeeded)
    assert len(done.data["lines"]) == 5_000
    assert len(done.content) < 1_200
    kept = await row()
    assert len(str(kept.data)) < 2_000
    page = await OutputStore(Path(settings.TOOL_OUTPUT_DIR), 0).page("operator", kept.id, 0, 1_000_000)
    assert page is not None
    assert msgspec.json.decode(page.text) == done.data
    assert (kept.output_size, kept.truncated) == (page.size, False)


async def test_long_live_output_is_truncated_and_stored_completely() -> None:
    async def chatter(execution: Execution, /) -> dict[str, Any]:
        """Print a lot."""
        for number in range(1_000):
            await execution.emit("stdout", f"{number:>9} {'x' * 989}\n")
        return {}

    steps = await opened(
        executor(tool("a.chatter", "read", chatter), outputs=OutputStore(Path(settings.TOOL_OUTPUT_DIR), 10**7)),
        asking("{}", name="a.chatter"),
    )
    live = "".join(step.text for step in steps if isinstance(step, Output))
    assert len(live) < MAX_LIVE_CHARS + 2_000
    assert live.endswith(NO_MORE)
    kept = await row()
    assert kept.output_size == 1_000_000
    assert len(kept.output) < 10_000
    page = await OutputStore(Path(settings.TOOL_OUTPUT_DIR), 0).page("operator", kept.id, 999_000, 10_000)
    assert page is not None
    assert page.text.startswith("      999 xxx")


def test_registering_a_duplicate_registers_nothing(greeting: Tool) -> None:
    registry = Registry([greeting])
    other = tool("people.other", "read", greet, "Bye")
    with pytest.raises(DuplicateTool, match="Registered twice: people"):
        registry.register(other, greeting)
    assert registry.names == ("people.greet",)
    assert registry.matching(["people.*", "fs.*"]) == (greeting,)


def test_model_is_shown_the_head_and_tail_of_a_long_result() -> None:
    shown = show({"content": "a" * 3_000 + "z" * 3_000}, 1_000, "ask for less")
    assert len(shown) < 1_200
    assert shown.startswith('{"content":"aaa')
    assert shown.endswith('zzz"}')
    assert "bytes left out" in shown


@pytest.mark.parametrize("data", [{"audio_base64": "QUJD"}, {"content": "QUJD", "encoding": "base64"}])
def test_model_is_never_shown_base64(data: dict[str, str]) -> None:
    assert "QUJD" not in show(data, 1_000, "")


@pytest.mark.parametrize(
    "hidden",
    [
        'x = """-----BEGIN PRIVATE KEY-----\\n"""\\nimport os\\n# -----END PRIVATE KEY-----',
        "-----BEGIN PRIVATE KEY-----\\nreboot\\n-----END PRIVATE KEY-----",
        "curl a://u:ANYTHING@host",
        "Authorization: Bearer do-something-else",
    ],
)
async def test_params_that_await_an_approval_are_shown_whole(greeting: Tool, hidden: str) -> None:
    asked = executor(greeting, policy="ask people.*")
    *_, waiting = await opened(asked, asking(f'{{"name": "{hidden.replace(chr(34), chr(92) + chr(34))}"}}'))
    assert isinstance(waiting, Waiting)
    row = await ToolExecution.objects.aget()
    for shown in (waiting.params["name"], row.params["name"]):
        assert "[secret]" not in shown
        assert shown.splitlines() == hidden.replace("\\n", "\n").splitlines()


@pytest.mark.parametrize("name", ["the-house-secret", "AKIA" + "Q" * 16, "x" * 3 * 2**20])
async def test_params_that_cannot_be_shown_whole_are_not_run_after_an_approval(greeting: Tool, name: str) -> None:
    (*_, refused) = await opened(executor(greeting, policy="ask people.*"), asking(f'{{"name": "{name}"}}'))
    assert isinstance(refused, Failed)
    assert (refused.code, "whole" in refused.error) == ("denied", True)
    row = await ToolExecution.objects.aget()
    assert (row.status, name in str(row.params)) == ("denied", False)


async def test_secret_as_the_name_of_a_tool_is_masked(greeting: Tool) -> None:
    steps = await opened(executor(greeting), asking("{}", name="the-house-secret"))
    row = await ToolExecution.objects.aget()
    assert "the-house-secret" not in f"{steps}{row.tool}{row.error}"


class Site:
    """A thing that a tool publishes as it was when the approval was asked for. `text` is None if it cannot be."""

    def __init__(self) -> None:
        self.text: str | None = "one"


async def publish(site: Site, execution: Execution, /, *, title: str) -> dict[str, Any]:
    """Publish a site."""
    return {"published": execution.preview, "title": title}


async def preview_of(site: Site, /, *, title: str) -> Preview:
    if site.text is None:
        raise ToolError("No changes.", code="conflict")
    return Preview(shown={"diff": site.text}, value=site.text)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def publishing(site: Site) -> ToolExecutor:
    return executor(tool("site.publish", "network", publish, site, preview=preview_of))


async def decided(publishing: ToolExecutor, change: Callable[[], None]) -> Progress:
    """Return the outcome of a call that is approved after a change."""
    request = asking('{"title": "x"}', name="site.publish")
    waiting = (await opened(publishing, request))[-1]
    assert isinstance(waiting, Waiting)
    change()
    approval = Approval(
        execution_id=waiting.execution_id, decision="approved", params_sha256=waiting.params_sha256, by="Alice"
    )
    return [step async for step in publishing.resume(publishing.inspect(request), approval)][-1]


async def test_approval_shows_the_preview_and_the_tool_gets_it(publishing: ToolExecutor, site: Site) -> None:
    site.text = "one " * 2_000
    outcome = await decided(publishing, lambda: None)

    assert isinstance(outcome, Succeeded)
    assert outcome.data == {"published": site.text, "title": "x"}
    assert (await row()).params == {"title": "x", "preview": {"diff": site.text}}


@pytest.mark.parametrize("text", ["two", None])
async def test_approval_of_what_has_changed_is_a_conflict(
    publishing: ToolExecutor, site: Site, text: str | None
) -> None:
    outcome = await decided(publishing, lambda: setattr(site, "text", text))

    assert isinstance(outcome, Failed)
    assert outcome.code == "conflict"


async def test_call_without_a_preview_asks_for_no_approval(publishing: ToolExecutor, site: Site) -> None:
    site.text = None
    outcome = (await opened(publishing, asking('{"title": "x"}', name="site.publish")))[-1]
    assert outcome == Failed(error="No changes.", code="conflict")

    site.text = "the-house-secret"
    outcome = (await opened(publishing, asking('{"title": "x"}', name="site.publish")))[-1]
    assert isinstance(outcome, Failed)
    assert outcome.code == "denied"
