"""What a launcher is told: values that cross to it as one line of JSON. None of them is a secret.

Named tuples, because the launcher starts in milliseconds: the modules behind richer values take longer than it may.
"""

import json
from collections.abc import Sequence
from typing import Literal, NamedTuple

Ended = Literal["exited", "timed_out", "too_many_tasks", "too_much_memory", "too_much_output", "cancelled", "refused"]
"""Why a command is over. `exited` is also what a signal from within did to it; `refused`: it was never started."""


class Limits(NamedTuple):
    """What a command may use. CPU time, memory and files are each process's; tasks and memory also the whole tree's."""

    wall_seconds: float = 30
    cpu_seconds: int = 30
    memory_bytes: int = 1 << 30
    file_bytes: int = 64 << 20
    open_files: int = 256
    tasks: int = 64
    output_bytes: int = 64 << 20


class Part(NamedTuple):
    """What has these names beneath an open folder, none of them a link; without a name, the folder itself."""

    handle: int
    names: Sequence[str] = ()


class Policy(NamedTuple):
    """One command: what runs, where, and what it may reach. Numbers named `_handle` are inherited open handles.

    Of what is `listable` the names can be told, at any depth, and nothing can be read.
    """

    program: str
    argv: list[str]
    environment: dict[str, str]
    cwd_handle: int
    readable_handles: list[int]
    writable_handles: list[int]
    places: list[str]
    temporary: str
    landlock_abi: int
    limits: Limits
    listable_handles: Sequence[int] = ()
    readable_parts: Sequence[Part] = ()
    writable_parts: Sequence[Part] = ()

    @property
    def handles(self) -> frozenset[int]:
        """All that the launcher has to inherit for it."""
        parts = (*self.readable_parts, *self.writable_parts)
        folders = (*self.listable_handles, *self.readable_handles, *self.writable_handles)
        return frozenset((self.cwd_handle, *folders, *(part.handle for part in parts)))

    def encode(self) -> bytes:
        """One line of JSON."""
        return json.dumps(self._asdict()).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Policy":
        """The policy that `encode` wrote."""
        fields = json.loads(line)
        parts = {name: [Part(*part) for part in fields[name]] for name in ("readable_parts", "writable_parts")}
        return cls(**{**fields, **parts, "limits": Limits(*fields["limits"])})


class Report(NamedTuple):
    """What came of a command. Times in milliseconds; `peak_bytes` is the largest process's resident memory."""

    ended: Ended
    exit_code: int | None = None
    signal: int | None = None
    cpu_ms: int = 0
    peak_bytes: int = 0
    message: str = ""

    def encode(self) -> bytes:
        """One line of JSON."""
        return json.dumps(self._asdict()).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Report":
        """The report that `encode` wrote."""
        return cls(**json.loads(line))
