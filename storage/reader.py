"""Reading the database from async code: in a few threads of our own, whose connections no stream ever holds."""

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

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage-reader")


async def read(query: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """The query's result: a sync function that fetches all that it returns. Raises `StorageUnavailable`."""

    def fetch(*, again: bool = False) -> Result:
        try:
            return query(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            stale = is_broken(driver()) and not again
            release()
            if stale:
                return fetch(again=True)
            raise StorageUnavailable(str(error).strip() or "The database does not answer.") from error
        finally:
            if connection.vendor != "sqlite":
                connection.close()  # back to the pool

    return await asyncio.get_running_loop().run_in_executor(_threads, fetch)
