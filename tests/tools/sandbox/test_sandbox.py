"""Harmless commands: their environment, their results, and refusals before the start.

Covers `kernel.bpf`, `kernel.privileges`, `kernel.syscalls`,
`tools.sandbox.launcher`.
"""

import os
import statistics
from pathlib import Path

import pytest

from kernel import landlock, seccomp
from tests.handles import open_handles
from tests.tools.sandbox.conftest import QUICK, RunPython
from tools.sandbox.confinement import kernel_confinement
from tools.sandbox.programs import Programs
from tools.sandbox.refusals import CommandRefusedError, SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox

MAX_ECHO_MS = 500
"""Far above the time on an idle machine. This detects a blunder; the benchmark reports the figure."""


async def test_probe_reports_the_confinement_level(sandbox: Sandbox) -> None:
    level = await sandbox.probe()

    assert level.level == f"landlock{landlock.landlock_abi()}+seccomp"
    assert level.hides
    assert level.cannot_hide


async def test_probe_detects_an_ineffective_sandbox(programs: Programs) -> None:
    open_to_all = Programs(folders=programs.folders, places=(Path("/"),))

    with pytest.raises(SandboxUnavailableError, match="not denied"):
        await Sandbox(open_to_all).probe()


@pytest.mark.parametrize("abi", [0, 1, 2])
async def test_without_landlock_nothing_runs(
    abi: int, sandbox: Sandbox, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "landlock_abi", lambda: abi)

    with pytest.raises(SandboxUnavailableError, match="Landlock"):
        await sandbox.run(("true",), cwd_handle=handle)


async def test_without_seccomp_nothing_runs(sandbox: Sandbox, handle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "available", lambda: False)

    with pytest.raises(SandboxUnavailableError, match="seccomp"):
        await sandbox.run(("true",), cwd_handle=handle)


async def test_output_is_separate_per_stream_and_the_exit_code_is_returned(run_python: RunPython) -> None:
    pieces: list[tuple[str, bytes]] = []

    async def on_output(stream: str, piece: bytes) -> None:
        pieces.append((stream, piece))

    outcome = await run_python(
        "import os, sys; os.write(1, b'out'); os.write(2, b'err'); sys.exit(3)",
        on_output=on_output,
    )

    assert sorted(pieces) == [("stderr", b"err"), ("stdout", b"out")]
    assert (outcome.ended, outcome.exit_code, outcome.signal) == ("exited", 3, None)
    assert (outcome.stdout.head, outcome.stderr.head) == (b"out", b"err")
    assert not outcome.truncated
    assert outcome.confinement == kernel_confinement().level


async def test_environment_has_four_variables_and_the_given_ones(
    sandbox: Sandbox, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    outcome = await sandbox.run(("env",), cwd_handle=handle, environment={"GIT_CONFIG_NOSYSTEM": "1"})
    names = {line.split("=")[0] for line in outcome.stdout.head.decode().splitlines()}

    assert names == {"PATH", "LANG", "HOME", "TMPDIR", "GIT_CONFIG_NOSYSTEM"}


async def test_only_the_three_standard_handles_are_open(run_python: RunPython) -> None:
    code = "import os\nfor number in range(256):\n    try: os.fstat(number); print(number)\n    except OSError: pass"

    assert (await run_python(code)).stdout.head == b"0\n1\n2\n"


async def test_input_is_empty(sandbox: Sandbox, handle: int) -> None:
    assert (await sandbox.run(("cat",), cwd_handle=handle)).stdout.size == 0


async def test_workspace_is_read_from_its_handle_after_a_rename(sandbox: Sandbox, handle: int, workspace: Path) -> None:
    os.rename(workspace, workspace.with_name("moved"))  # noqa: PTH104  the loop is this test's own
    outcome = await sandbox.run(("cat", "notes.txt"), cwd_handle=handle, readable_handles=(handle,))

    assert outcome.stdout.head == b"inside"


async def test_writable_workspace_can_be_written(run_python: RunPython, workspace: Path) -> None:
    code = "import os; open('new', 'w').write('x'); os.mkdir('d'); os.rename('new', 'd/new'); os.unlink('notes.txt')"
    outcome = await run_python(code, writable=True)

    assert outcome.exit_code == 0, outcome.stderr.head
    assert (workspace / "d/new").read_text() == "x"
    assert not (workspace / "notes.txt").exists()


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("target", "exit_code"), [("src/copy", 0), (".git/copy", 1), ("src/../.git/copy", 1), ("copy", 1)]
)
async def test_only_the_writable_folder_can_be_written(
    target: str, exit_code: int, sandbox: Sandbox, handle: int
) -> None:
    for name in ("src", ".git"):
        os.mkdir(name, dir_fd=handle)
    source = os.open("src", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
    try:
        outcome = await sandbox.run(
            ("cp", "notes.txt", target), cwd_handle=handle, readable_handles=(handle,), writable_handles=(source,)
        )
    finally:
        os.close(source)

    assert outcome.exit_code == exit_code, outcome.stderr.head
    assert os.access(target, os.F_OK, dir_fd=handle) == (exit_code == 0)


async def test_temporary_folder_is_home_and_writable(run_python: RunPython) -> None:
    code = "import os, tempfile; f = tempfile.NamedTemporaryFile(); print(f.name.startswith(os.environ['HOME']))"

    assert (await run_python(code)).stdout.head == b"True\n"


async def test_harmless_devices_are_available(run_python: RunPython) -> None:
    code = "open('/dev/null', 'w').write('x'); print(len(open('/dev/urandom', 'rb').read(4)))"

    assert (await run_python(code)).stdout.head == b"4\n"


async def test_abort_ends_a_program(run_python: RunPython, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await run_python("import os; os.abort()")).signal == 6

    monkeypatch.setattr(landlock, "landlock_abi", lambda: landlock.OLDEST_ABI)
    assert (await run_python("import os; os.abort()")).signal == 11


async def test_socket_pairs_and_pipes_work_within_a_command(run_python: RunPython) -> None:
    code = "import asyncio; asyncio.run(asyncio.sleep(0)); print('ran')"

    assert (await run_python(code)).stdout.head == b"ran\n"


async def test_system_calls_of_other_architectures_kill_the_program(run_python: RunPython) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("x32 is of x86_64 alone.")
    outcome = await run_python("import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39))")

    assert outcome.signal == 31


async def test_system_calls_newer_than_the_table_fail_as_missing(run_python: RunPython) -> None:
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall(ctypes.c_long({seccomp.NEWEST_KNOWN + 1}), 0), ctypes.get_errno())"
    )

    assert (await run_python(code)).stdout.head == b"-1 38\n"


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@pytest.mark.parametrize("abi", [landlock.OLDEST_ABI, landlock.NEWEST_ABI])
@pytest.mark.parametrize("network", [True, False])
def test_filter_fits_into_the_kernel_limit(machine: str, abi: int, network: bool) -> None:
    code = seccomp.program(seccomp.MACHINES[machine], abi, network=network)

    assert len(code) % 8 == 0
    assert len(code) // 8 < 4096


@pytest.mark.parametrize("name", ["", ".", "..", "/bin/ls", "./ls", "no-such-program", "../../bin/ls"])
async def test_program_must_be_a_plain_name(name: str, sandbox: Sandbox, handle: int) -> None:
    with pytest.raises(CommandRefusedError):
        await sandbox.run((name,), cwd_handle=handle)


@pytest.mark.parametrize("argument", ["a\0b", "\ud800"])
async def test_invalid_argument_is_rejected(argument: str, sandbox: Sandbox, handle: int) -> None:
    with pytest.raises(CommandRefusedError):
        await sandbox.run(("echo", argument), cwd_handle=handle)


async def test_empty_command_is_rejected(sandbox: Sandbox, handle: int) -> None:
    with pytest.raises(CommandRefusedError):
        await sandbox.run((), cwd_handle=handle)


async def test_program_that_cannot_start_is_rejected_with_the_reason(sandbox: Sandbox, handle: int) -> None:
    argv = ("echo", "x" * (3 << 20))

    with pytest.raises(CommandRefusedError, match="Argument list too long"):
        await sandbox.run(argv, cwd_handle=handle)


async def test_git_starts(sandbox: Sandbox, handle: int) -> None:
    environment = {"GIT_CONFIG_NOSYSTEM": "1"}
    outcome = await sandbox.run(
        ("git", "status"), cwd_handle=handle, readable_handles=(handle,), environment=environment
    )

    assert b"not a git repository" in outcome.stderr.head


async def test_service_keeps_no_handle_open(sandbox: Sandbox, handle: int) -> None:
    before = open_handles()
    for _ in range(3):
        await sandbox.run(("true",), cwd_handle=handle)

    assert not open_handles() - before


async def test_echo_is_fast(sandbox: Sandbox, handle: int) -> None:
    times = [(await sandbox.run(("echo",), cwd_handle=handle, limits=QUICK)).duration_ms for _ in range(5)]

    assert statistics.median(times) < MAX_ECHO_MS
