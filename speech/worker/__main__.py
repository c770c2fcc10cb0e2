"""The program of a worker: a process of its own, so that no model and no hostile recording holds up the service.

It yields the processor to the service, gets none of its secrets, and ends with it: `python -m speech.worker THREADS`.
"""

import logging
import os
import resource
import select
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO, Final, cast

import av.logging

from speech.base import SpeechError
from speech.worker.protocol import LAST, Answer, Done, Failed, Stop, Task, read_command, send
from speech.worker.tasks import answers

NICE: Final = 10
MAX_MEMORY: Final = 4 * 2**30
"""Bytes of addresses; the models take about a third of it."""

MAX_FILES: Final = 256


def main() -> None:
    threads = int(sys.argv[1])
    _restrain()
    orders, results = os.fdopen(os.dup(0), "rb", buffering=0), _results()
    while (order := read_command(orders)) is not None:
        if not isinstance(order, Stop):
            _perform(order, threads, orders, results)


def _restrain() -> None:
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    av.logging.set_level(None)
    logging.disable()


def _results() -> BinaryIO:
    """The standard output, for answers alone: whatever else would be printed there goes to standard error."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return results


def _perform(task: Task, threads: int, orders: BinaryIO, results: BinaryIO) -> None:
    with closing(cast("Any", _told(task, threads))) as told:
        for answer in told:
            if answer is not None:
                send(results, answer)
            if not isinstance(answer, LAST) and _has_order(orders):
                send(results, Done())
                return


def _told(task: Task, threads: int) -> Iterator[Answer | None]:
    """The answers, with what goes wrong as the last of them."""
    try:
        yield from answers(task, threads)
    except SpeechError as error:
        yield Failed(error=str(error), code=error.code)
    except MemoryError:
        yield Failed(error="The worker has not enough memory for this.", code="audio_too_large")
    except ImportError as error:
        yield Failed(error=f"{error.name} is not installed: uv sync --extra local", code="provider_unavailable")


def _has_order(orders: BinaryIO) -> bool:
    """Whether the service has said something meanwhile, which can only be to stop, or has gone."""
    return bool(select.select([orders], [], [], 0)[0])


if __name__ == "__main__":
    main()
