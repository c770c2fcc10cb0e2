"""The end of every process that a command starts, and the limits that it may exceed only for a moment.

Covers `tools.sandbox.descendants`.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kernel import landlock
from tests.tools.sandbox.conftest import QUICK, RunPython
from tools.sandbox import supervision
from tools.sandbox.refusals import SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]
SHORT = QUICK._replace(wall_seconds=0.4)
ROOMY = QUICK._replace(wall_seconds=4)

ESCAPES = {
    "a new session": "if os.fork() == 0: os.setsid(); time.sleep(60)",
    "a double fork": "if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    time.sleep(60)",
    "an ignored end": (
        "for number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)\nif os.fork() == 0: time.sleep(60)"
    ),
    "a kept pipe": "if os.fork() == 0: time.sleep(60)",
    "a closed pipe": "if os.fork() == 0: os.closerange(0, 64); time.sleep(60)",
    "a kept group": "if os.fork() == 0: os.setpgid(0, 0); time.sleep(60)",
    "a chain": "for _ in range(8):\n    if os.fork(): os._exit(0)\ntime.sleep(60)",
    "another subreaper": (
        "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\nif os.fork() == 0:\n    os.setsid(); time.sleep(60)"
    ),
}
BOMBS = ("while True: os.fork()", "for _ in range(500):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)")
PAUSES = {"stopped": "os.kill(os.getpid(), signal.SIGSTOP)", "busy": "while True: pass", "asleep": "time.sleep(60)"}


@pytest.fixture(params=[landlock.OLDEST_ABI, landlock.NEWEST_ABI], ids=lambda abi: f"landlock{abi}")
def abi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Test with signals scoped by the kernel, and with descendants found one by one."""
    chosen: int = min(request.param, landlock.landlock_abi())
    monkeypatch.setattr(landlock, "landlock_abi", lambda: chosen)
    return chosen


@pytest.fixture
def marker(workspace: Path) -> str:
    return str(workspace)


def code(body: str, marker: str) -> str:
    """Return code whose processes bear the marker in their command lines."""
    return f"# {marker}\nimport os, signal, sys, time\n{body}"


def alive(marker: str) -> list[str]:
    """Return the command lines of the processes that bear the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if marker in line:
                found.append(line)
    return found


@pytest.mark.usefixtures("abi")
@pytest.mark.parametrize("name", ESCAPES)
async def test_remaining_processes_are_killed(name: str, marker: str, run_python: RunPython) -> None:
    outcome = await run_python(code(ESCAPES[name], marker), limits=ROOMY)

    assert (outcome.ended, outcome.exit_code) == ("exited", 0), outcome.stderr.head
    assert outcome.duration_ms < 3000
    assert alive(marker) == []


@pytest.mark.usefixtures("abi")
@pytest.mark.parametrize("name", PAUSES)
async def test_time_limit_kills_the_process_tree(name: str, marker: str, run_python: RunPython) -> None:
    body = f"os.fork()\nos.fork()\nfor number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n{PAUSES[name]}"
    if name == "stopped" and landlock.landlock_abi() < landlock.SCOPES_ABI:
        body = body.replace(PAUSES[name], "time.sleep(60)")
    outcome = await run_python(code(body, marker), limits=SHORT)

    assert outcome.timed_out
    assert outcome.exit_code is None
    assert outcome.signal == 9
    assert 400 <= outcome.duration_ms < 2400
    assert alive(marker) == []


@pytest.mark.usefixtures("abi")
@pytest.mark.parametrize("body", BOMBS)
async def test_number_of_processes_is_limited(body: str, marker: str, run_python: RunPython) -> None:
    outcome = await run_python(code(body, marker), limits=ROOMY)

    assert outcome.ended == "too_many_tasks"
    assert alive(marker) == []


async def test_number_of_threads_is_limited(marker: str, run_python: RunPython) -> None:
    body = "import threading\nfor _ in range(60): threading.Thread(target=time.sleep, args=(60,)).start()"
    limits = ROOMY._replace(memory_bytes=2 << 30)

    assert (await run_python(code(body, marker), limits=limits)).ended == "too_many_tasks"


async def test_memory_of_one_process_is_limited(marker: str, run_python: RunPython) -> None:
    outcome = await run_python(code("bytearray(512 << 20)", marker))

    assert b"MemoryError" in outcome.stderr.head


async def test_memory_of_the_tree_is_limited(marker: str, run_python: RunPython) -> None:
    body = "os.fork()\nos.fork()\nheld = bytearray(b'x') * (40 << 20)\ntime.sleep(60)"
    outcome = await run_python(code(body, marker), limits=ROOMY._replace(memory_bytes=120 << 20))

    assert outcome.ended == "too_much_memory"
    assert alive(marker) == []


async def test_processor_time_is_limited(marker: str, run_python: RunPython) -> None:
    outcome = await run_python(code("while True: pass", marker), limits=ROOMY._replace(cpu_seconds=1, wall_seconds=20))

    assert (outcome.ended, outcome.exit_code, outcome.signal) == ("exited", None, 24)
    # The limit counts time that a hypervisor stole; the usage that the kernel reports afterwards does not.
    assert 500 <= outcome.cpu_ms < 2000


async def test_size_of_files_is_limited(marker: str, run_python: RunPython) -> None:
    body = "file = open(os.environ['TMPDIR'] + '/big', 'wb')\nfile.write(b'x' * (2 << 20))"
    outcome = await run_python(code(body, marker))

    assert b"File too large" in outcome.stderr.head


async def test_number_of_open_files_is_limited(marker: str, run_python: RunPython) -> None:
    outcome = await run_python(code("held = [os.pipe() for _ in range(100)]", marker))

    assert b"Too many open files" in outcome.stderr.head


async def test_endless_output_stops_the_command(sandbox: Sandbox, handle: int) -> None:
    seen = 0

    async def on_output(stream: str, piece: bytes) -> None:
        nonlocal seen
        seen += len(piece)

    limits = ROOMY._replace(output_bytes=1 << 20)
    outcome = await sandbox.run(("yes",), cwd_handle=handle, limits=limits, on_output=on_output)

    assert outcome.ended == "too_much_output"
    assert seen == outcome.stdout.size == 1 << 20
    assert outcome.truncated


@pytest.mark.usefixtures("abi")
async def test_cancelling_kills_the_process_tree(marker: str, run_python: RunPython) -> None:
    started = asyncio.Event()
    body = "if os.fork() == 0: os.setsid()\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"

    async def on_output(stream: str, piece: bytes) -> None:
        started.set()

    task: asyncio.Task[Any] = asyncio.ensure_future(run_python(code(body, marker), on_output=on_output))
    await asyncio.wait_for(started.wait(), 5)
    assert alive(marker)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert time.monotonic() - began < 2
    assert alive(marker) == []


async def test_memory_of_several_processes_is_limited_together(marker: str, run_python: RunPython) -> None:
    body = (
        "import mmap\nos.fork()\nos.fork()\nflags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS\n"
        "held = mmap.mmap(-1, 40 << 20, flags=flags)\n"
        "held.write(b'x' * (40 << 20))\ntime.sleep(60)"
    )
    outcome = await run_python(code(body, marker), limits=ROOMY._replace(memory_bytes=130 << 20))

    assert outcome.ended == "too_much_memory"


async def test_command_ends_when_its_service_is_killed(marker: str, workspace: Path, tmp_path: Path) -> None:
    command = code("if os.fork() == 0: os.setsid()\nprint('up', flush=True)\ntime.sleep(60)", marker)
    service = (
        "import asyncio, os\n"
        "from pathlib import Path\n"
        "from tools.sandbox.sandbox import Sandbox\n"
        f"handle = os.open({str(workspace)!r}, os.O_RDONLY | os.O_DIRECTORY)\n"
        f"sandbox = Sandbox(temporary_beneath=Path({str(tmp_path / 'temporary')!r}))\n"
        f"command = ('python', '-c', {command!r})\n"
        "async def on_output(stream, piece): os.write(1, piece)\n"
        "asyncio.run(sandbox.run(command, cwd_handle=handle, on_output=on_output))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", service, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout
    assert await asyncio.wait_for(process.stdout.readline(), 5) == b"up\n"
    process.kill()
    await process.wait()
    deadline = time.monotonic() + 2
    while alive(marker) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)

    assert alive(marker) == []


async def test_process_tree_ends_when_its_supervisor_is_killed(marker: str, run_python: RunPython) -> None:
    if landlock.landlock_abi() < landlock.SCOPES_ABI:
        pytest.skip("Signals are not scoped here.")
    runs: list[int] = []

    async def on_output(stream: str, piece: bytes) -> None:
        runs.append(int(piece))

    body = "print(os.getppid(), flush=True)\nfor _ in range(3):\n    if os.fork() == 0: os.setsid()\ntime.sleep(60)"
    call = asyncio.ensure_future(run_python(code(body, marker), on_output=on_output))
    async with asyncio.timeout(5):
        while not runs:
            await asyncio.sleep(0.005)
    os.kill(runs[0], signal.SIGKILL)
    with pytest.raises(SandboxUnavailableError, match="without a report"):
        await asyncio.wait_for(call, 2)

    assert alive(marker) == []


async def test_delayed_supervisor_still_kills_the_process_tree(abi: int, marker: str, run_python: RunPython) -> None:
    """Delay the runs by a signal from outside the command, as load would."""
    runs: list[int] = []

    async def on_output(stream: str, piece: bytes) -> None:
        runs.append(int(piece))

    body = "print(os.getppid(), flush=True)\nfor _ in range(3):\n    if os.fork() == 0: os.setsid()\ntime.sleep(60)"
    call = asyncio.ensure_future(run_python(code(body, marker), limits=SHORT, on_output=on_output))
    async with asyncio.timeout(5):
        while not runs:
            await asyncio.sleep(0.005)
    os.kill(runs[0], signal.SIGSTOP)
    try:
        with pytest.raises(SandboxUnavailableError, match="without a report"):
            await asyncio.wait_for(call, 5)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(runs[0], signal.SIGCONT)
    async with asyncio.timeout(5):
        await asyncio.gather(*supervision.left)
        while alive(marker):
            await asyncio.sleep(0.01)


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can switch to another user.")
def test_kernel_limits_the_processes_of_an_ordinary_user() -> None:
    body = (
        "import os, signal\n"
        "from tools.sandbox.policy import Limits\n"
        "from tools.sandbox.program import ROOM_TASKS, _tasks_of_the_machine, limit\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); os.setpgid(0, 0)\n"
        "most = _tasks_of_the_machine() + ROOM_TASKS + 200\n"
        "limit(Limits(tasks=1))\n"
        "started = []\n"
        "try:\n"
        "    while len(started) < most:\n"
        "        process = os.fork()\n"
        "        if process == 0: signal.pause()\n"
        "        started.append(process)\n"
        "except BlockingIOError: print('denied')\n"
        "for process in started: os.kill(process, signal.SIGKILL)\n"
    )
    argv = (sys.executable, "-c", body)
    done = subprocess.run(argv, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("denied\n", "")


async def test_exception_in_the_output_callback_stops_the_command(marker: str, run_python: RunPython) -> None:
    async def on_output(stream: str, piece: bytes) -> None:
        raise ValueError("deaf")

    with pytest.raises(ValueError, match="deaf"):
        await run_python(code("print('up', flush=True)\ntime.sleep(60)", marker), on_output=on_output)

    assert alive(marker) == []


async def test_output_that_the_callback_does_not_take_in_time_is_kept(marker: str, run_python: RunPython) -> None:
    async def on_output(stream: str, piece: bytes) -> None:
        await asyncio.Event().wait()

    body = "for n in range(3):\n    print(n, flush=True)\n    time.sleep(0.02)"
    outcome = await run_python(code(body, marker), on_output=on_output, limits=QUICK._replace(wall_seconds=0.5))

    assert (outcome.ended, outcome.exit_code, outcome.stdout.head) == ("exited", 0, b"0\n1\n2\n")
    assert outcome.duration_ms < 1500


async def test_command_is_the_first_victim_when_memory_is_short(run_python: RunPython, marker: str) -> None:
    body = "time.sleep(60)"
    call = asyncio.ensure_future(run_python(code(body, marker), limits=SHORT))
    scores: set[str] = set()
    async with asyncio.timeout(5):
        while not scores:
            await asyncio.sleep(0.005)
            scores = out_of_memory_scores(marker)
    await call

    assert scores == {"1000"}


async def test_launcher_and_guard_outlive_the_command_without_memory(run_python: RunPython, marker: str) -> None:
    body = "launcher = os.getppid()\nprint(launcher, flush=True)\ntime.sleep(0.3)"
    scores: set[str] = set()

    async def on_output(stream: str, piece: bytes) -> None:
        scores.update(scores_of(int(piece)))

    await run_python(code(body, marker), on_output=on_output)
    assert scores == {"1000", *scores_of(os.getpid())}


def scores_of(process: int) -> set[str]:
    """Return the scores of a process and of its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return {Path(f"/proc/{one}/oom_score_adj").read_text().strip() for one in (process, *children)}


async def test_output_goes_through_pipes(run_python: RunPython) -> None:
    outcome = await run_python("import os, stat\nprint([stat.S_ISFIFO(os.fstat(n).st_mode) for n in (1, 2)])")
    assert outcome.stdout.head == b"[True, True]\n"


async def test_space_of_the_temporary_folder_is_limited(marker: str, run_python: RunPython) -> None:
    body = (
        "for n in range(1000):\n    with open(f\"{os.environ['TMPDIR']}/{n}\", 'wb') as file:\n"
        "        file.write(b'x' * 900_000)\n    time.sleep(0.02)"
    )
    outcome = await run_python(code(body, marker), limits=QUICK._replace(temporary_bytes=2 << 20))
    assert outcome.ended == "too_much_space"


def out_of_memory_scores(marker: str) -> set[str]:
    """Return the scores of the processes that bear the marker. Source: proc_pid_oom_score_adj(5)."""
    scores = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and marker.encode() in (entry / "cmdline").read_bytes():
                scores.add((entry / "oom_score_adj").read_text().strip())
    return scores - {Path("/proc/self/oom_score_adj").read_text().strip()}


@pytest.mark.slow
async def test_temporary_folder_is_removed_however_deep(marker: str, run_python: RunPython, tmp_path: Path) -> None:
    body = (
        "os.chdir(os.environ['TMPDIR'])\nos.symlink('/', 'root')\nopen('file', 'w').close()\nos.mkfifo('fifo')\n"
        "for _ in range(3000):\n    os.mkdir('deep')\n    os.mkdir('shut', 0)\n    os.chdir('deep')"
    )
    outcome = await run_python(code(body, marker))

    deadline = time.monotonic() + 60
    while list((tmp_path / "temporary").iterdir()) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)

    assert outcome.exit_code == 0, outcome.stderr.head
    assert list((tmp_path / "temporary").iterdir()) == []
