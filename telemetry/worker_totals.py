"""The totals of all workers of one `serve`, computed by the worker that is asked.

Each worker writes its numbers to a file in a shared folder, every second and before it reports. The counters of an
ended worker stay in the totals; its gauges do not.
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from telemetry.instruments import Labels, Rows, add_rows
from telemetry.metrics import INSTRUMENTS

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
MAX_READINGS: Final = 10
LIVING: Final = ".living"
ENDED: Final = ".ended"

Numbers = dict[str, list[tuple[Labels, list[float]]]]
"""The rows of each instrument, by its name, as stored in a file."""

_decoder = msgspec.json.Decoder(Numbers)
_GAUGES: Final = frozenset(instrument.name for instrument in INSTRUMENTS if instrument.kind == "gauge")


class WorkerTotals:
    """The numbers of this process, until it shares a folder with others."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._written = b""
        self._task: asyncio.Task[None] | None = None

    def share(self, folder: Path) -> None:
        """Write to the folder from now on, as long as the event loop runs."""
        self._folder = folder
        self._task = asyncio.get_running_loop().create_task(self._go(folder))

    def flush(self) -> None:
        """Write the counts since the last second, before this process ends."""
        if self._folder is not None:
            self._write(self._folder)

    def all(self) -> Mapping[str, Rows]:
        """Return the rows of each instrument, by its name."""
        if self._folder is None:
            return _own()
        # Written before every reading: other workers read this file, and a total that they report may never shrink.
        self._write(self._folder)
        sums: dict[str, Rows] = {}
        for numbers in _read(self._folder):
            for name, rows in numbers.items():
                add_rows(sums.setdefault(name, {}), dict(rows))
        return sums

    async def _go(self, folder: Path) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            self._write(folder)

    def _write(self, folder: Path) -> None:
        """Replace the file, unless nothing changed."""
        text = msgspec.json.encode({name: list(rows.items()) for name, rows in _own().items()})
        if text == self._written:
            return
        path = folder / f"{os.getpid()}{LIVING}"
        part = path.with_suffix(".part")
        try:
            part.write_bytes(text)
            # In one step, so that another worker never reads half a file.
            part.replace(path)
        except OSError as error:
            logger.warning("metrics.unshared", extra={"error": str(error)})
        else:
            self._written = text


worker_totals = WorkerTotals()
"""The totals of this process."""


def retire(folder: Path, pid: int) -> None:
    """Mark a worker as ended: its counters stay, its gauges go."""
    # Process ids are reused: without a new name a later worker would overwrite these numbers.
    with suppress(FileNotFoundError):
        (folder / f"{pid}{LIVING}").replace(folder / f"{uuid4().hex}{ENDED}")


def _own() -> Mapping[str, Rows]:
    return {instrument.name: instrument.rows() for instrument in INSTRUMENTS}


def _read(folder: Path) -> list[Numbers]:
    """Return the numbers of all workers."""
    # A worker that ends meanwhile has its file renamed, and all are read again, so that none is missing.
    for _ in range(MAX_READINGS):
        with suppress(FileNotFoundError):
            return list(_numbers(folder))
    return []


def _numbers(folder: Path) -> Iterator[Numbers]:
    for path in folder.iterdir():
        if path.suffix in {LIVING, ENDED}:
            numbers = _decoder.decode(path.read_bytes())
            left = _GAUGES if path.suffix == ENDED else frozenset()
            yield {name: rows for name, rows in numbers.items() if name not in left}
