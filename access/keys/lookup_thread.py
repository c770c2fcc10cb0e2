"""A thread that looks up keys on its own connection, so that a request with a key waits for nothing else.

Requests that wait at the same time share one statement, so a distant database is asked once for all of them.
"""

import asyncio
import contextlib
import threading
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
    """Looks up keys for every event loop of the process."""

    def __init__(self) -> None:
        self._questions: SimpleQueue[_Question] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    async def find(self, key: Key) -> KeyRecord | None:
        """Return the record of a key, revoked or not; None if it is unknown. Raises `StorageUnavailable`."""
        if self._questions.qsize() >= MAX_WAITING:
            raise StorageUnavailable("Too many callers are waiting for the database.")
        if self._thread is None:
            # The thread belongs to the process, so event loops in several threads may start it at the same time.
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="access-key-lookup", daemon=True)
                    self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[KeyRecord | None] = loop.create_future()
        self._questions.put(_Question(key.sha256, loop, answer))
        return await answer

    def _work(self) -> None:
        while True:
            # Requests that wait at the same time share one statement, so that a distant database answers all at once.
            batch = [self._questions.get()]
            with contextlib.suppress(Empty):
                while len(batch) < MAX_BATCH:
                    batch.append(self._questions.get_nowait())
            try:
                answer: dict[str, KeyRecord] | Exception = _found({question.sha256 for question in batch})
            except Exception as error:  # noqa: BLE001 - it is raised for the waiting requests
                answer = error
            for question in batch:
                with contextlib.suppress(RuntimeError):  # the loop has closed, and with it the request
                    question.loop.call_soon_threadsafe(_answer, question, answer)


lookup_thread = KeyLookupThread()


def _found(hashes: set[str], *, again: bool = False) -> dict[str, KeyRecord]:
    """Look the keys up, once more if the server closed an idle connection. Raises `StorageUnavailable`."""
    try:
        return lookup.by_hashes(list(hashes))
    except (OperationalError, InterfaceError) as error:
        # The server closes connections when it restarts; a lookup can be repeated on a fresh one.
        stale = is_broken(driver()) and not again
        release()
        if stale:
            return _found(hashes, again=True)
        raise StorageUnavailable(str(error).strip() or "The database does not answer.") from error


def _answer(question: _Question, answer: dict[str, KeyRecord] | Exception) -> None:
    # The request was cancelled while it waited.
    if question.answer.done():
        return
    if isinstance(answer, Exception):
        question.answer.set_exception(answer)
    else:
        question.answer.set_result(answer.get(question.sha256))
