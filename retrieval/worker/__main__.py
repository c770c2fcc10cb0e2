"""The program of a worker: `python -m retrieval.worker`.

It has a lower priority than the service, has none of its secrets, and ends with it.
"""

import logging
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Final

from kernel.worker import confine_worker
from retrieval.base import DocumentError
from retrieval.worker.protocol import Answer, Convert, Failed, Pieces, Split, Task, Vectors, read_task, send
from retrieval.worker.tasks import LocalReader, converted

NICE: Final = 10
# Bytes of address space. The model needs about a fourth of it.
MAX_MEMORY: Final = 2 * 2**30

MAX_FILES: Final = 256
BROKEN: Final = "It could not be read: it is damaged, or too complex."


def main() -> None:
    # A damaged or hostile document can at most end this process.
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    confine_worker(Path(__file__).parents[1])
    # Log lines of libraries could quote a document.
    logging.disable()
    tasks = os.fdopen(os.dup(0), "rb")
    # The answers have the standard output to themselves. Whatever a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    reader = LocalReader()
    while (task := read_task(tasks)) is not None:
        send(answers, perform(task, reader))


def perform(task: Task, reader: LocalReader) -> Answer:
    """Return the answer to a task."""
    try:
        if isinstance(task, Split):
            return Pieces(reader.pieces(task.kind, task.data))
        return converted(task) if isinstance(task, Convert) else Vectors(reader.vectors(task.texts))
    except DocumentError as error:
        return Failed(error=str(error))
    except (MemoryError, RecursionError):
        return Failed(error=BROKEN)
    except Exception as error:  # noqa: BLE001 - otherwise one document would end the worker with its model
        if isinstance(task, Convert) or (isinstance(task, Split) and task.kind in {"pdf", "docx"}):
            # The parsers have no common error for a damaged document.
            return Failed(error=BROKEN)
        # The error's own text could quote the document, so only its place is reported.
        place = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
        return Failed(error=BROKEN, fault=place)


if __name__ == "__main__":
    sys.setrecursionlimit(2_000)
    main()
