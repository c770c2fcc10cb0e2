"""Queries from async code, in a few threads of their own, so that no stream ever holds a connection."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from storage.connection_recovery import driver, is_broken, release
from storage.writer import StorageUnavailable

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

THREADS: Final = 4

# More threads would not help: SQLite reads are bound by the interpreter's lock, PostgreSQL's by its pool.
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage-reader")


async def read(query: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """Run a query and return its result. The sync function must fetch all rows. Raises `StorageUnavailable`."""

    def fetch(*, again: bool = False) -> Result:
        try:
            return query(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            # The server may have closed an idle connection; a query can be repeated on a fresh one.
            stale = is_broken(driver()) and not again
            release()
            if stale:
                return fetch(again=True)
            raise StorageUnavailable(str(error).strip() or "The database does not answer.") from error
        finally:
            if connection.vendor != "sqlite":
                # Back to the pool: an idle thread would hold a connection that another process could use.
                connection.close()

    return await asyncio.get_running_loop().run_in_executor(_threads, fetch)
