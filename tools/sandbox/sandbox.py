"""The sandbox: the one way to run a command."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tools.base import OutputStream
from tools.sandbox.confinement import Confinement, kernel_confinement
from tools.sandbox.output.capture import Captured
from tools.sandbox.output.stream import Output
from tools.sandbox.policy import Ended, Limits, Part, Policy, Report
from tools.sandbox.programs import Programs, installed_programs
from tools.sandbox.refusals import CommandRefusedError, SandboxUnavailableError
from tools.sandbox.supervision import Supervision, Take
from tools.sandbox.temporary import TemporaryFolders

DEFAULT_LIMITS = Limits()
NO_ENVIRONMENT: Mapping[str, str] = {}
CANARY = "canary"
TRIAL = ("cat", CANARY)
DENIED_EXIT_CODE = 1
"""What `cat` says of a file that it may not open; of one that it may, 0, and the launcher of itself never 1."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command. `warning` is empty unless something of it could not be ended.

    `exit_code` is the program's own, where it exited; `signal` is what ended it, also where that was the launcher's.
    """

    ended: Ended
    exit_code: int | None
    signal: int | None
    duration_ms: int
    cpu_ms: int
    peak_bytes: int
    stdout: Captured
    stderr: Captured
    confinement: str
    warning: str

    @property
    def timed_out(self) -> bool:
        """Whether the wall-clock limit ended it."""
        return self.ended == "timed_out"

    @property
    def truncated(self) -> bool:
        """Whether not all of its output is kept here."""
        return self.stdout.truncated or self.stderr.truncated


async def ignore(stream: OutputStream, piece: bytes) -> None:
    """Takes output that nobody follows."""


class Sandbox:
    """Runs programs of the machine so that they reach the handles they are given, and nothing else.

    `temporary_beneath` is where commands get their temporary folders, and holds nothing else: a folder in the system's
    own place, unless it is given.
    """

    def __init__(self, programs: Programs | None = None, *, temporary_beneath: Path | None = None) -> None:
        self.programs = programs or installed_programs()
        self.temporary_folders = TemporaryFolders(temporary_beneath)

    async def probe(self) -> Confinement:
        """The level, seen to hold here: a program was denied a file. Raises `SandboxUnavailableError`."""
        level = kernel_confinement()
        async with self.temporary_folders.new() as folder:
            handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
            try:
                os.close(os.open(CANARY, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600, dir_fd=handle))
                outcome = await self.run(TRIAL, cwd_handle=handle)
            except CommandRefusedError as error:
                raise SandboxUnavailableError(f"A trial command did not start: {error}") from error
            finally:
                os.close(handle)
        if outcome.exit_code != DENIED_EXIT_CODE:
            raise SandboxUnavailableError(
                f"A trial command was not denied a file: {outcome.ended}, exit code {outcome.exit_code}, "
                f"{outcome.stderr.head!r}."
            )
        return level

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd_handle: int,
        readable_handles: Sequence[int] = (),
        writable_handles: Sequence[int] = (),
        listable_handles: Sequence[int] = (),
        readable_parts: Sequence[Part] = (),
        writable_parts: Sequence[Part] = (),
        programs: Programs | None = None,
        limits: Limits = DEFAULT_LIMITS,
        environment: Mapping[str, str] = NO_ENVIRONMENT,
        on_output: Take = ignore,
    ) -> Outcome:
        """Runs `argv` in the folder `cwd_handle`, and returns when it and all that it started are gone.

        Nothing beneath the cwd is readable unless a handle among the `readable_handles` or `writable_handles` holds it,
        or a part. Landlock takes nothing out of a folder again: to keep something in it from being read or written,
        pass the parts that lie beside it (see `parts_without`). `programs` takes the place of the sandbox's own;
        `environment` adds to the four names that every command has, or replaces them. Cancelling ends the whole tree,
        and takes at most 2 s.

        Raises `CommandRefusedError`, `SandboxUnavailableError`.
        """
        level = kernel_confinement()
        programs = programs or self.programs
        program = programs.find(_checked(argv)[0])
        began = time.monotonic()
        output = Output(limits.output_bytes, on_output)
        async with self.temporary_folders.new() as temporary:
            policy = Policy(
                program=str(program),
                argv=list(argv),
                environment={**_environment(programs, temporary), **environment},
                cwd_handle=cwd_handle,
                readable_handles=list(readable_handles),
                writable_handles=list(writable_handles),
                places=[str(place) for place in programs.places],
                temporary=str(temporary),
                landlock_abi=level.landlock_abi,
                limits=limits,
                listable_handles=list(listable_handles),
                readable_parts=list(readable_parts),
                writable_parts=list(writable_parts),
            )
            report = await _supervise(policy, output)
        if report.ended == "refused":
            raise CommandRefusedError(f"{argv[0]} could not be started: {report.message}")
        return _outcome(report, output, time.monotonic() - began, level)


def _environment(programs: Programs, temporary: Path) -> dict[str, str]:
    """All that a command finds in its environment: nothing of the service's own."""
    path = ":".join(map(str, programs.folders))
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(temporary), "TMPDIR": str(temporary)}


async def _supervise(policy: Policy, output: Output) -> Report:
    supervision = await Supervision.start(policy, output)
    output.when_too_much = supervision.stop
    return await supervision.report(policy.limits.wall_seconds)


def _outcome(report: Report, output: Output, seconds: float, level: Confinement) -> Outcome:
    return Outcome(
        ended="too_much_output" if output.too_much else report.ended,
        exit_code=report.exit_code,
        signal=report.signal,
        duration_ms=round(1000 * seconds),
        cpu_ms=report.cpu_ms,
        peak_bytes=report.peak_bytes,
        stdout=output.captures["stdout"].captured(),
        stderr=output.captures["stderr"].captured(),
        confinement=level.level,
        warning=report.message,
    )


def _checked(argv: Sequence[str]) -> Sequence[str]:
    """The argv, where the system can take it. Raises `CommandRefusedError`."""
    if not argv:
        raise CommandRefusedError("A command needs a program's name.")
    for argument in argv:
        try:
            bad = b"\0" in os.fsencode(argument)
        except UnicodeEncodeError:
            bad = True
        if bad:
            raise CommandRefusedError(f"The argument {argument!r} has a character that no command can be given.")
    return argv
