"""The program of a worker: `python -m speech.worker THREADS`.

It has a lower priority than the service, has none of its secrets, and ends with it.
"""

import logging
import os
import resource
import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import av.logging

from kernel.worker import confine_worker
from speech.base import ErrorCode, SpeechError
from speech.worker.protocol import LAST, Answer, Done, Failed, Stop, Synthesize, Task, read_command, send
from speech.worker.tasks import answers

NICE: Final = 10
# Bytes of address space. The models need about a third of it.
MAX_MEMORY: Final = 4 * 2**30

MAX_FILES: Final = 256


def main() -> None:
    threads = int(sys.argv[1])
    _restrain()
    # Unbuffered, so that `select` sees every command that has not been read.
    commands = os.fdopen(os.dup(0), "rb", buffering=0)
    # The results have the standard output to themselves. Whatever a library prints goes to standard error.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (command := read_command(commands)) is not None:
        # A stop may arrive after its task has ended.
        if not isinstance(command, Stop):
            _perform(command, threads, commands, results)


def _restrain() -> None:
    # A damaged or hostile recording can at most end this process.
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    confine_worker(Path(__file__).parents[1])
    # Log lines of libraries could quote the text or the recording.
    av.logging.set_level(None)
    logging.disable()


def _perform(task: Task, threads: int, commands: BinaryIO, results: BinaryIO) -> None:
    with closing(cast("Any", _answers(task, threads))) as found:
        for answer in found:
            if answer is not None:
                send(results, answer)
            # A command that arrives meanwhile can only be a stop. The end of the file means that the service is gone.
            if not isinstance(answer, LAST) and select.select([commands], [], [], 0)[0]:
                send(results, Done())
                return


def _answers(task: Task, threads: int) -> Iterator[Answer | None]:
    """Yield the answers, with a failure as the last of them."""
    try:
        yield from answers(task, threads)
    except SpeechError as error:
        yield Failed(error=str(error), code=error.code)
    except MemoryError:
        yield Failed(error="The worker has too little memory for this. Send less at once.", code="audio_too_large")
    except ImportError as error:
        yield Failed(
            error=f"{error.name} is not installed; run uv sync --extra local --no-dev --inexact",
            code="provider_unavailable",
        )
    except Exception as error:  # noqa: BLE001 - otherwise a fault at one task would end the worker with its models
        # The error's own text could quote the recording, so only its place is reported.
        place = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
        failure = "The worker failed at this because of a fault; see the service's log."
        code: ErrorCode = "provider_unavailable" if isinstance(task, Synthesize) else "invalid_audio"
        yield Failed(error=failure, code=code, fault=place)


if __name__ == "__main__":
    main()
