"""The messages between the service and a launcher: one line of JSON each. They hold no secret."""

# Named tuples, because the launcher must start in milliseconds: the modules of richer types take longer to import.

import json
from collections.abc import Sequence
from typing import Literal, NamedTuple

Ended = Literal[
    "exited",
    "timed_out",
    "too_many_tasks",
    "too_much_memory",
    "too_much_space",
    "too_much_output",
    "cancelled",
    "refused",
]
"""The end of a command. `exited` includes a signal from within the command; `refused` means that it never started."""


class Limits(NamedTuple):
    """The limits of a command. CPU time, memory and files apply to each process, tasks and memory also to their sum.

    A process may reserve `addresses` times its memory. `temporary_bytes` is for all files of the temporary folder.
    Tasks and memory are counted every `count_seconds`.
    """

    wall_seconds: float = 30
    cpu_seconds: int = 30
    memory_bytes: int = 1 << 30
    file_bytes: int = 64 << 20
    open_files: int = 256
    tasks: int = 64
    output_bytes: int = 64 << 20
    addresses: int = 1
    temporary_bytes: int = 1 << 30
    count_seconds: float = 0.02


class Part(NamedTuple):
    """A file or folder below an open folder, through no link; without names, the folder itself."""

    handle: int
    names: Sequence[str] = ()


class Policy(NamedTuple):
    """A command: the program, its folder, and the files that it may reach. Each `_handle` is inherited and open.

    Without a `cwd_handle`, its folder is the temporary one. In a `listable` folder names can be listed at any depth,
    but no file can be read. With `runs_files`, what can be read can be executed. `rules_handle` is that of a ruleset
    that also applies. `input_handle` is the standard input, or else it is empty. With `network`, connections to the
    network are possible. `plan` is what to clear up if the process `service` was killed.
    """

    program: str
    argv: list[str]
    environment: dict[str, str]
    cwd_handle: int | None
    readable_handles: list[int]
    writable_handles: list[int]
    places: list[str]
    temporary: str
    landlock_abi: int
    limits: Limits
    listable_handles: Sequence[int] = ()
    readable_parts: Sequence[Part] = ()
    writable_parts: Sequence[Part] = ()
    runs_files: bool = False
    rules_handle: int | None = None
    input_handle: int | None = None
    network: bool = False
    plan: str = ""
    service: int = 0

    @property
    def handles(self) -> frozenset[int]:
        """The handles that the launcher must inherit."""
        parts = (*self.readable_parts, *self.writable_parts)
        folders = (*self.listable_handles, *self.readable_handles, *self.writable_handles)
        optional = (self.cwd_handle, self.rules_handle, self.input_handle)
        others = (handle for handle in optional if handle is not None)
        return frozenset((*others, *folders, *(part.handle for part in parts)))

    def encode(self) -> bytes:
        """Return the policy as one line of JSON."""
        return json.dumps(self._asdict()).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Policy":
        """Return the policy that `encode` wrote."""
        fields = json.loads(line)
        parts = {name: [Part(*part) for part in fields[name]] for name in ("readable_parts", "writable_parts")}
        return cls(**{**fields, **parts, "limits": Limits(*fields["limits"])})


class Report(NamedTuple):
    """The end of a command. Times are in milliseconds; `peak_bytes` is the resident memory of the largest process."""

    ended: Ended
    exit_code: int | None = None
    signal: int | None = None
    cpu_ms: int = 0
    peak_bytes: int = 0
    message: str = ""

    def encode(self) -> bytes:
        """Return the report as one line of JSON."""
        return json.dumps(self._asdict()).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Report":
        """Return the report that `encode` wrote."""
        return cls(**json.loads(line))
