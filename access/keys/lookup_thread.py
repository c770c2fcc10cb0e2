"""One thread a process that looks keys up, on a connection that it keeps: a request with a key waits for nothing else.

Those who wait together are answered by one statement, so that a database far away is asked once for all of them.
"""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final

import msgspec
from django.db import InterfaceError, OperationalError

from access.keys import lookup
from access.keys.key_format import Key
from access.keys.lookup import KeyRecord
from storage.connection_recovery import driver, is_broken, release
from storage.writer import StorageUnavailable

MAX_WAITING: Final = 10_000
MAX_BATCH: Final = 100


class _Question(msgspec.Struct, frozen=True):
    sha256: str
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[KeyRecord | None]"


class KeyLookupThread:
    """Answers from any event loop."""

    def __init__(self) -> None:
        self._questions: SimpleQueue[_Question] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    async def find(self, key: Key) -> KeyRecord | None:
        """The key that was shown, if there is or was one. Raises `StorageUnavailable`."""
        if self._questions.qsize() >= MAX_WAITING:
            raise StorageUnavailable("Too many callers are waiting for the database.")
        if self._thread is None:
            self._start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[KeyRecord | None] = loop.create_future()
        self._questions.put(_Question(key.sha256, loop, answer))
        return await answer

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="access-clerk", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            batch = self._gather()
            try:
                answer: dict[str, KeyRecord] | Exception = _found({question.sha256 for question in batch})
            except Exception as error:  # noqa: BLE001 - it is told to those who wait
                answer = error
            for question in batch:
                with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                    question.loop.call_soon_threadsafe(_answer, question, answer)

    def _gather(self) -> Sequence[_Question]:
        batch = [self._questions.get()]
        with contextlib.suppress(Empty):
            while len(batch) < MAX_BATCH:
                batch.append(self._questions.get_nowait())
        return batch


lookup_thread = KeyLookupThread()


def _found(hashes: set[str], *, again: bool = False) -> dict[str, KeyRecord]:
    """Raises `StorageUnavailable`. On a connection that the other end has closed meanwhile it is tried once more."""
    try:
        return lookup.by_hashes(list(hashes))
    except (OperationalError, InterfaceError) as error:
        stale = is_broken(driver()) and not again
        release()
        if stale:
            return _found(hashes, again=True)
        raise StorageUnavailable(str(error).strip() or "The database does not answer.") from error


def _answer(question: _Question, answer: dict[str, KeyRecord] | Exception) -> None:
    if question.answer.done():
        return
    if isinstance(answer, Exception):
        question.answer.set_exception(answer)
    else:
        question.answer.set_result(answer.get(question.sha256))
