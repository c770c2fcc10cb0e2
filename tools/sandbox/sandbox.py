"""The sandbox: the only way to run a command."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tools.base import OutputStream
from tools.sandbox.confinement import Confinement, kernel_confinement
from tools.sandbox.kept_rules import KeptRules
from tools.sandbox.output.capture import Captured
from tools.sandbox.output.stream import Output
from tools.sandbox.policy import Ended, Limits, Part, Policy
from tools.sandbox.programs import FUNCTIONS, Programs, installed_programs, write_shims
from tools.sandbox.refusals import CommandRefusedError, SandboxUnavailableError
from tools.sandbox.supervision import Supervision, Take
from tools.sandbox.temporary import TemporaryFolders

DEFAULT_LIMITS = Limits()
NO_ENVIRONMENT: Mapping[str, str] = {}
CANARY = "canary"
SHIMS = "bin"
TRIAL = ("cat", CANARY)
# `cat` returns 0 for a file that it can read. The launcher itself never returns 1.
DENIED_EXIT_CODE = 1
"""The exit code of `cat` for a file that it may not open."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a command. `warning` is empty unless a process of it could not be ended.

    `exit_code` is the program's own, if it exited. `signal` ended it, and may be the launcher's.
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
        """True if the wall-clock limit ended the command."""
        return self.ended == "timed_out"

    @property
    def truncated(self) -> bool:
        """True if this does not hold all of the output."""
        return self.stdout.truncated or self.stderr.truncated


async def ignore(stream: OutputStream, piece: bytes) -> None:
    """Discard live output."""


class Sandbox:
    """Runs programs of the machine so that they can reach only the handles that they get.

    `temporary_beneath` is a folder for the temporary folders of commands; by default, one in the system's own place.
    """

    def __init__(self, programs: Programs | None = None, *, temporary_beneath: Path | None = None) -> None:
        self.programs = programs or installed_programs()
        self.temporary_folders = TemporaryFolders(temporary_beneath)
        self._kept_rules = KeptRules()

    async def probe(self) -> Confinement:
        """Run a trial command that must be denied a file, and return the level. Raises `SandboxUnavailableError`."""
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
        cwd_handle: int | None,
        readable_handles: Sequence[int] = (),
        writable_handles: Sequence[int] = (),
        listable_handles: Sequence[int] = (),
        readable_parts: Sequence[Part] = (),
        writable_parts: Sequence[Part] = (),
        programs: Programs | None = None,
        limits: Limits = DEFAULT_LIMITS,
        environment: Mapping[str, str] = NO_ENVIRONMENT,
        on_output: Take = ignore,
        input_handle: int | None = None,
        network: bool = False,
        runs_files: bool = False,
        plan: str = "",
        service: int | None = None,
    ) -> Outcome:
        """Run `argv` in the folder `cwd_handle`, or its temporary one, and return when all of its processes have ended.

        The command can only read below a handle of `readable_handles` or `writable_handles`, or a part. To withhold a
        file of a folder, pass the parts beside it (see `parts_without`). `programs` replaces the sandbox's own.
        `environment` adds to the four variables of every command, or replaces them. `input_handle` is its standard
        input, and must stay open. With `network` it may connect to the network, and with `runs_files` execute what it
        may read. Cancelling ends all processes, and takes at most 2 s. `plan` is that of `Quarantine`. The launcher
        carries it out if the process `service` has ended; by default, that is this one.

        Raises `CommandRefusedError` and `SandboxUnavailableError`.
        """
        level = kernel_confinement()
        programs = programs or self.programs
        program = programs.find(_checked(argv)[0])
        began = time.monotonic()
        output = Output(limits.output_bytes, on_output)
        async with self.temporary_folders.new() as temporary:
            shims = temporary / SHIMS
            folders, own = programs.folders, {}
            if programs.shims:
                write_shims(shims, programs)
                folders, own = (shims, *folders), {"BASH_ENV": str(shims / FUNCTIONS)}
            policy = Policy(
                program=str(shims / program.name if program in programs.shims else program),
                argv=list(argv),
                # Nothing of the service's own environment, which has its secrets.
                environment={
                    "PATH": ":".join(map(str, folders)),
                    "LANG": "C.UTF-8",
                    "HOME": str(temporary),
                    "TMPDIR": str(temporary),
                    **own,
                    **environment,
                },
                cwd_handle=cwd_handle,
                readable_handles=list(readable_handles),
                writable_handles=list(writable_handles),
                places=[str(place) for place in programs.places],
                temporary=str(temporary),
                landlock_abi=level.landlock_abi,
                limits=limits,
                listable_handles=list(listable_handles),
                readable_parts=readable_parts,
                writable_parts=list(writable_parts),
                runs_files=runs_files or programs.beneath is not None,
                input_handle=input_handle,
                network=network,
                plan=plan,
                service=os.getpid() if service is None else service,
            )
            async with self._kept_rules.applied(policy) as applied:
                supervision = await Supervision.start(applied, output)
            output.when_too_much = supervision.stop
            report = await supervision.report(limits.wall_seconds)
        if report.ended == "refused":
            raise CommandRefusedError(f"{argv[0]} could not be started: {report.message}")
        return Outcome(
            ended="too_much_output" if output.too_much else report.ended,
            exit_code=report.exit_code,
            signal=report.signal,
            duration_ms=round(1000 * (time.monotonic() - began)),
            cpu_ms=report.cpu_ms,
            peak_bytes=report.peak_bytes,
            stdout=output.captures["stdout"].captured(),
            stderr=output.captures["stderr"].captured(),
            confinement=level.level,
            warning=report.message,
        )


def _checked(argv: Sequence[str]) -> Sequence[str]:
    """Return the argv if execve(2) can take it. Raises `CommandRefusedError`."""
    if not argv:
        raise CommandRefusedError("The command is empty: give the name of a program.")
    for argument in argv:
        try:
            bad = b"\0" in os.fsencode(argument)
        except UnicodeEncodeError:
            bad = True
        if bad:
            raise CommandRefusedError(f"The argument {argument!r} has a character that no command can take.")
    return argv
