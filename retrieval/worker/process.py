"""A worker process as the service uses it: one task at a time, in the order in which they come."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

from retrieval.base import DocumentError, DocumentKind, Kind, Piece
from retrieval.worker.embedding import MODEL, TEXTS_A_TASK, why_missing
from retrieval.worker.protocol import (
    Answer,
    Convert,
    Converted,
    Embed,
    Failed,
    Pieces,
    Split,
    Task,
    Vectors,
    read_answer,
    send,
)
from spending.accounts import Payer

logger = logging.getLogger(__name__)

FOLDER: Final = Path(__file__).parents[2]
# The only variables of the environment that a worker receives, so that it has none of the service's secrets.
INHERITED: Final = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
TASK_SECONDS: Final = 20.0
"""Seconds of one task. A process that takes longer is killed, and the document is not indexed."""

IDLE_SECONDS: Final = 600.0
"""Seconds after which an idle process ends, which frees the memory of the model."""


class ReaderProcess:
    """A reader whose work happens in a worker process, which starts when it is first needed. Any thread may call it."""

    model = MODEL
    texts_at_once = TEXTS_A_TASK
    leaves_machine = False

    def __init__(self) -> None:
        self.missing = why_missing()
        # A thread takes the tasks in turn, so that a query waits for one task of an index, not for all of them.
        self._turns = ThreadPoolExecutor(1, thread_name_prefix="retrieval-worker")
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    def pieces(self, kind: Kind, data: bytes) -> list[Piece]:
        """Return the pieces of a content. Raises `DocumentError`."""
        answer = self._ask(Split(kind=kind, data=data))
        if not isinstance(answer, Pieces):
            raise _error(answer)
        return answer.pieces

    def vectors(self, texts: Sequence[str], _payer: Payer | None = None, /) -> list[bytes]:
        """Return the vector of each text. Raises `DocumentError`."""
        answer = self._ask(Embed(texts=list(texts)))
        if not isinstance(answer, Vectors):
            raise _error(answer)
        return answer.vectors

    async def text(self, kind: DocumentKind, data: bytes, url: str = "") -> tuple[str, str]:
        """Return the title and the text of a document of the web. `data` of HTML is UTF-8. Raises `DocumentError`."""
        answer = await asyncio.wrap_future(self._turns.submit(self._perform, Convert(kind=kind, data=data, url=url)))
        if not isinstance(answer, Converted):
            raise _error(answer)
        return answer.title, answer.text

    def close(self) -> None:
        """End the process after the tasks that wait."""
        self._turns.submit(self._end).result()

    def _ask(self, task: Task) -> Answer | None:
        try:
            turn = self._turns.submit(self._perform, task)
        except RuntimeError as error:
            # Python allows no new work in threads once the service ends.
            raise DocumentError("The service is about to end.") from error
        return turn.result()

    def _perform(self, task: Task) -> Answer | None:
        """Return the answer, or None if the process died or had to be killed."""
        if self._idle:
            self._idle.cancel()
        if self._process is None or self._process.poll() is not None:
            self._process = _started()
        timer = threading.Timer(TASK_SECONDS, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            send(cast("Any", self._process.stdin), task)
            answer = read_answer(cast("Any", self._process.stdout))
        except OSError:
            answer = None
        finally:
            timer.cancel()
        if answer is None:
            self._end()
        else:
            self._idle = threading.Timer(IDLE_SECONDS, lambda: self._turns.submit(self._end))
            self._idle.daemon = True
            self._idle.start()
        return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if self._idle:
            self._idle.cancel()
        if process:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    cast("Any", pipe).close()


def _error(answer: Answer | None) -> DocumentError:
    if isinstance(answer, Failed):
        if answer.fault:
            logger.error("retrieval.worker_fault", extra={"fault": answer.fault})
        return DocumentError(answer.error)
    return DocumentError("It takes too much time or memory to read.")


def _started() -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "retrieval.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=FOLDER,
        env={**environment, **OFFLINE},
        # Ctrl+C at the terminal then does not reach the worker, which ends when its input is closed.
        start_new_session=True,
    )
