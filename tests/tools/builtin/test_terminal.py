"""`terminal.exec`: results, live output, and limits.

Covers `tools.sandbox.output.live_text`, `tools.sandbox.output.stream`, `tools.terminal.limits`,
`tools.terminal.preparation`.
"""

import asyncio
import os
import re
import time
from pathlib import Path

import msgspec
import pytest

from spending.accounts import Payer
from tests.handles import open_handles
from tests.tools.builtin.conftest import Make
from tests.tools.commands.terminals import ANY_PYTHON, LiveOutput, alive, contents, git, run, verdict
from tools.base import Execution, OutputStream, ToolError
from tools.builtin import terminal
from tools.commands import WHITELIST, extended
from tools.commands.output import MAX_SHOWN_BYTES
from tools.sandbox import subtrees
from tools.sandbox.confinement import kernel_confinement
from tools.sandbox.sandbox import Sandbox
from tools.workspace import Workspace

pytestmark = pytest.mark.usefixtures("kernel")

SPARSE_BYTES = 10 << 30
MAX_GROWTH = 64 << 20
SLEEP = "import time\ntime.sleep(60)"
OVERTIME = 2.0
"""The seconds after its limit within which a command's result must arrive."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "guide.md").write_text("one\ntwo\nthree\n")
    return folder


@pytest.fixture
def make(make: Make) -> Make:
    """Return a function that creates the tool with the given limits; `python` runs any script."""
    return lambda **limits: make(**{"whitelist": ANY_PYTHON, **limits})


def script(base: Path, body: str) -> list[str]:
    """Return the argv of a Python script whose processes bear the workspace's path in their command lines."""
    (base / "script.py").write_text(body)
    return ["python", "script.py", str(base)]


async def test_command_and_argv_are_two_forms_of_the_same_call(make: Make) -> None:
    by_text = await run(make(), command="grep -n 't[wh]' docs/guide.md")
    by_words = await run(make(), argv=["grep", "-n", "t[wh]", "docs/guide.md"])

    assert by_text.stdout == by_words.stdout == "2:two\n3:three\n"
    assert by_text.argv == by_words.argv == ["grep", "--exclude-dir=.git", "-n", "t[wh]", "docs/guide.md"]
    assert (by_text.exit_code, by_text.signal, by_text.truncated, by_text.notes) == (0, None, False, [])
    assert by_text.confinement == kernel_confinement().level
    assert by_text.duration_ms > 0


async def test_nonzero_exit_code_is_a_result(make: Make) -> None:
    result = await run(make(), command="cat missing.txt docs/guide.md")

    assert result.exit_code == 1
    assert "missing.txt" in result.stderr
    assert result.stdout == "one\ntwo\nthree\n"


async def test_signal_is_reported_instead_of_an_exit_code(make: Make, base: Path) -> None:
    result = await run(make(), argv=script(base, "import os\nos.kill(os.getpid(), 15)"))

    assert (result.exit_code, result.signal) == (None, 15)


async def test_command_runs_in_the_given_folder(make: Make, base: Path) -> None:
    for cwd in ("docs", str(base / "docs")):
        assert (await run(make(), command="cat guide.md ../docs/guide.md", cwd=cwd)).stdout == "one\ntwo\nthree\n" * 2
        assert (await run(make(), command="pwd", cwd=cwd)).stdout == f"{base}/docs\n"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "invalid_params"),
        ({"command": "ls", "argv": ["ls"]}, "invalid_params"),
        ({"command": "ls", "cwd": "missing"}, "not_found"),
        ({"command": "ls", "cwd": "docs/guide.md"}, "not_found"),
        ({"command": "ls", "cwd": ".."}, "outside_workspace"),
        ({"command": "ls", "cwd": "/etc"}, "outside_workspace"),
        ({"command": "ls", "cwd": ".git"}, "not_allowed"),
        ({"command": "ls", "timeout": 31}, "invalid_params"),
        ({"argv": ["ls", "a\0b"]}, "invalid_params"),
        ({"argv": ["ls", "\udc80"]}, "invalid_params"),
        ({"command": "git add ."}, "not_allowed"),
        ({"command": "no-such-program"}, "not_allowed"),
    ],
)
async def test_invalid_call_is_rejected_with_a_sentence(params: dict[str, object], code: str, make: Make) -> None:
    refused, said = await verdict(make(), **params)

    assert refused == code
    assert said.endswith(".")


async def test_missing_program_is_reported(make: Make) -> None:
    tool = make(whitelist=extended(WHITELIST, "no-such-program"))

    with pytest.raises(ToolError, match="There is no program 'no-such-program'") as refusal:
        await run(tool, command="no-such-program")
    assert refusal.value.code == "not_allowed"


async def test_environment_has_nothing_of_the_service(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-canary")
    result = await run(make(), command="env")

    assert {line.split("=")[0] for line in result.stdout.splitlines()} == {"PATH", "LANG", "HOME", "TMPDIR"}


async def test_output_is_sent_live_without_splitting_characters(make: Make, base: Path) -> None:
    body = (
        "import os, time\nfor byte in 'é€😀'.encode():\n    os.write(1, bytes([byte]))\n    time.sleep(0.01)\n"
        "os.write(2, b'a\\0b\\xff\\xe2\\x82')"
    )
    live = LiveOutput()
    result = await run(make(), live, argv=script(base, body))

    assert live.text("stdout") == result.stdout == "é€😀"
    assert live.text("stderr") == result.stderr == "a\ufffdb\ufffd\ufffd"
    assert len(live.texts["stdout"]) > 1


async def test_long_output_keeps_its_head_and_tail(make: Make, base: Path) -> None:
    live = LiveOutput()
    result = await run(make(), live, argv=script(base, "for n in range(100_000): print(n, 'é')"))
    head, missing, tail = re.split(r"\n\[\.\.\. (\d+) bytes are left out here \.\.\.\]\n", result.stdout)
    whole = "".join(f"{number} é\n" for number in range(100_000))

    assert live.text("stdout") == whole
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head.encode()) + int(missing) + len(tail.encode()) == len(whole.encode())
    assert len(result.stdout.encode()) <= MAX_SHOWN_BYTES + 100
    assert result.truncated


async def test_two_long_streams_share_the_shown_size(make: Make, base: Path) -> None:
    result = await run(make(), argv=script(base, "import os\nos.write(2, b'e' * 60_000)\nos.write(1, b'o' * 60_000)"))

    assert len(result.stdout) == len(result.stderr)
    assert MAX_SHOWN_BYTES < len(result.stdout) + len(result.stderr) < MAX_SHOWN_BYTES + 200


@pytest.mark.parametrize(
    "body",
    [
        "import signal, time\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\ntime.sleep(60)",
        "import os, time\nfor _ in range(40):\n  if not os.fork():\n    os.setsid()\n    break\ntime.sleep(60)",
        "import os, time\nif os.fork(): os._exit(0)\ntime.sleep(60)",
    ],
    ids=["ignored signals", "a new session", "many sessions", "a kept pipe"],
)
async def test_time_limit_returns_in_time_and_kills_the_tree(body: str, make: Make, base: Path) -> None:
    began = time.monotonic()
    await verdict(make(), argv=script(base, body), timeout=0.5)

    assert time.monotonic() - began < 0.5 + OVERTIME
    assert alive(str(base)) == []


async def test_timed_out_command_reports_its_last_lines(make: Make, base: Path) -> None:
    body = f"for n in range(50): print('line', n, flush=True)\n{SLEEP}"
    code, said = await verdict(make(), argv=script(base, body), timeout=0.5)

    assert code == "timed_out"
    assert said.endswith("line 48\nline 49")
    assert "line 9\n" not in said
    assert "up to 30 s" in said


async def test_five_hundred_forks_are_stopped_by_the_process_limit(make: Make, base: Path) -> None:
    body = "import os, time\nfor _ in range(500):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(60)"
    began = time.monotonic()
    code, said = await verdict(make(), argv=script(base, body), timeout=5)

    assert (code, "more than 64 processes" in said) == ("failed", True)
    assert time.monotonic() - began < OVERTIME
    assert alive(str(base)) == []


async def test_memory_limit_is_reported(make: Make, base: Path) -> None:
    body = f"import os\nos.fork()\nheld = bytearray(b'x') * (60 << 20)\n{SLEEP}"
    code, said = await verdict(make(max_memory_bytes=100 << 20), argv=script(base, body), timeout=5)

    assert (code, "bytes of memory" in said) == ("failed", True)


async def test_stalled_listener_does_not_extend_the_time_limit(make: Make, base: Path) -> None:
    async def stall(stream: OutputStream, text: str) -> None:
        await asyncio.Event().wait()

    tool = make()
    params = msgspec.convert({"argv": script(base, f"print('up', flush=True)\n{SLEEP}"), "timeout": 0.5}, tool.params)
    began = time.monotonic()
    with pytest.raises(ToolError, match="up") as refusal:
        await tool.run(params, Execution(payer=Payer(owner="alice"), emit=stall))

    assert refusal.value.code == "timed_out"
    assert time.monotonic() - began < 0.5 + OVERTIME
    assert alive(str(base)) == []


async def test_cancelled_call_leaves_nothing_behind(make: Make, base: Path, tmp_path: Path) -> None:
    up = asyncio.Event()

    async def emit(stream: OutputStream, text: str) -> None:
        up.set()

    tool = make()
    body = (
        "import os, signal\nif os.fork() == 0: os.setsid()\nsignal.signal(15, signal.SIG_IGN)\n"
        f"print(1, flush=True)\n{SLEEP}"
    )
    params = msgspec.convert({"argv": script(base, body)}, tool.params)
    handles = open_handles()
    call = asyncio.ensure_future(tool.run(params, Execution(payer=Payer(owner="alice"), emit=emit)))
    await asyncio.wait_for(up.wait(), 5)
    assert alive(str(base))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert alive(str(base)) == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not open_handles() - handles


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("cat sparse", "too_large"),
        ("head -n 1 sparse", "too_large"),
        ("wc -l sparse", "timed_out"),
        ("wc -c sparse", "ran"),
    ],
)
async def test_huge_file_does_not_grow_the_service(command: str, code: str, make: Make, base: Path) -> None:
    with (base / "sparse").open("wb") as file:
        file.truncate(SPARSE_BYTES)
    await run(make(), command="echo")
    before = begin_peak()
    said, _ = await verdict(make(max_output_bytes=32 << 20), Deaf(), command=command, timeout=0.8)

    assert said == code
    assert peak_bytes() - before < MAX_GROWTH


class Deaf(LiveOutput):
    """A log that keeps no output."""

    async def emit(self, stream: OutputStream, text: str) -> None:
        """Wait as long as a subscriber would."""
        await asyncio.sleep(0)


def begin_peak() -> int:
    """Reset the peak of the process's memory to the present value. Source: proc_pid_clear_refs(5)."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """Return the peak memory of this process. Source: proc_pid_status(5)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


async def test_endless_line_stops_at_the_output_limit(make: Make, base: Path) -> None:
    code, said = await verdict(
        make(max_output_bytes=1 << 20), argv=script(base, "while True: print('x' * 9999, end='')")
    )

    assert (code, "TERMINAL_MAX_OUTPUT_BYTES" in said) == ("too_large", True)
    assert len(said) < 3_000
    assert alive(str(base)) == []


async def test_reading_a_fifo_stops_at_the_time_limit(make: Make, base: Path) -> None:
    os.mkfifo(base / "fifo")

    assert (await verdict(make(), command="cat fifo", timeout=0.3))[0] == "timed_out"


async def test_number_of_concurrent_commands_is_limited(make: Make, base: Path) -> None:
    tool, ended = make(max_at_once=1), []

    async def call(name: str, **params: object) -> None:
        await verdict(tool, **params)
        ended.append(name)

    slow = asyncio.ensure_future(call("slow", argv=script(base, SLEEP), timeout=0.4))
    quick = asyncio.ensure_future(call("quick", command="echo"))
    await asyncio.gather(slow, quick)

    assert ended == ["slow", "quick"]


async def test_secret_is_hidden_from_a_recursive_read(make: Make, base: Path) -> None:
    (base / ".env").write_text("the-canary")
    (base / "docs" / "server.pem").write_text("the-canary")
    (base / "docs" / "link").symlink_to("../.env")
    result = await run(make(), command="grep -r . .")

    assert "the-canary" not in result.stdout + result.stderr
    assert "docs/guide.md:one" in result.stdout
    assert "./.env: Permission denied" in result.stderr


async def test_file_of_a_divided_folder_is_readable_in_its_own_folder(make: Make, base: Path) -> None:
    (base / "docs" / ".env").write_text("x")
    (base / "docs" / "deep").mkdir()
    (base / "docs" / "deep" / "a.txt").write_text("deep")

    assert (await run(make(), command="cat guide.md deep/a.txt", cwd="docs")).stdout == "one\ntwo\nthree\ndeep"


async def test_files_beyond_the_bound_are_unreadable_and_reported(
    make: Make, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subtrees, "MAX_WALKED", 1)
    result = await run(make(), command="cat docs/guide.md")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "could not be read" in result.notes[0]


async def test_git_omits_secrets_in_every_command(make: Make, base: Path) -> None:
    git(base, "init", "-q", "-b", "main")
    (base / "docs" / "plan.private").write_text("the-canary")
    git(base, "add", ".")
    git(base, "commit", "-qm", "first")
    result = await run(make(secret_globs=("*.private",)), command="git show HEAD")

    assert "the-canary" not in result.stdout
    assert "+two" in result.stdout


async def test_git_reads_only_its_own_repository(make: Make, base: Path) -> None:
    outer = base.parent
    git(outer, "init", "-q")
    assert "not a git repository" in (await run(make(), command="git status")).stderr

    git(base, "init", "-q", "-b", "main")
    git(base, "add", ".")
    git(base, "commit", "-qm", "first")
    assert (await run(make(), command="git log --format=%s -- guide.md", cwd="docs")).stdout == "first\n"
    shown = await run(make(), command="git show --stat --format=%s HEAD")
    assert (shown.exit_code, "docs/guide.md" in shown.stdout) == (0, True)
    assert shown.argv == ["git", "show", "--stat", "--format=%s", "HEAD", "--"]


async def test_pytest_reads_the_settings_of_the_workspace_and_leaves_nothing_behind(make: Make, base: Path) -> None:
    (base.parent / "pytest.ini").write_text("[pytest]\naddopts = --unknown-option\n")
    (base / "pyproject.toml").write_text("[tool.pytest.ini_options]\npython_files = 'check_*.py'\n")
    (base / "check_it.py").write_text("def test_it():\n    assert 1 + 1 == 2\n")
    before = contents(base)
    result = await run(make(), command="pytest -q")

    assert result.exit_code == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
    assert contents(base) == before


def test_description_lists_the_allowed_programs(make: Make) -> None:
    described = make(whitelist=extended(WHITELIST, "jq")).spec

    for phrase in ("no shell", "read-only", "At most 30 s"):
        assert phrase in " ".join(described.description.split())
    programs = described.parameters["properties"]["command"]["description"]
    for phrase in ("Programs: ls, cat,", ", jq;", "git with status,"):
        assert phrase in programs
    assert set(described.parameters["properties"]) == {"command", "argv", "cwd", "timeout"}
    assert described.parameters["required"] == []
    assert "can be written" in make(writable=True).spec.description


def test_description_is_never_longer_than_services_take(make: Make) -> None:
    whitelist = extended(WHITELIST, "; ".join(f"program-{number}" for number in range(60)))
    assert len(make(whitelist=whitelist, writable=True).spec.description) <= 1_024


def test_tool_is_disabled_without_confinement(base: Path) -> None:
    workspace = Workspace(base)
    (made,) = terminal.tools(workspace, Sandbox(), confinement="landlock7+seccomp", disabled="Nothing holds here.")
    workspace.close()

    assert (made.name, made.effect, made.confinement) == ("terminal.exec", "execute", "landlock7+seccomp")
    assert made.disabled == "Nothing holds here."


@pytest.mark.parametrize(
    ("params", "command", "cwd"),
    [
        ({"command": "git  log   'a b'"}, "git log 'a b'", "."),
        ({"argv": ["git", "log", "a b"]}, "git log 'a b'", "."),
        ({"command": "ls", "cwd": "docs/../docs/"}, "ls", "docs"),
        ({"command": "ls | sh"}, "ls | sh", "."),
        ({}, "", "."),
    ],
)
def test_policy_sees_one_form_of_a_command(params: dict[str, object], command: str, cwd: str, make: Make) -> None:
    tool = make()

    assert tool.facets(msgspec.convert(params, tool.params)) == {"command": [command], "cwd": [cwd]}


def test_policy_sees_an_absolute_folder_as_a_relative_one(make: Make, base: Path) -> None:
    tool = make()

    assert tool.facets(msgspec.convert({"command": "ls", "cwd": f"{base}/docs"}, tool.params))["cwd"] == ["docs"]


@pytest.mark.parametrize("name", ["max_seconds", "max_output_bytes", "max_memory_bytes", "max_tasks", "max_at_once"])
def test_impossible_limit_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"at least 1|more than 0"):
        terminal.Limits(**{name: 0})
