"""Service processes on a real PostgreSQL, with a model that the test plays."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.fake_service import FakeService, fake_service
from tests.orchestrator_site.test_serve import address, serving
from tests.servers import Postgres
from tests.streams import Answer

UNUSUAL: Final = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "bytea_output": "escape",
    "extra_float_digits": "0",
}
"""Defaults of a database that an administrator may have set."""


class Site:
    """Processes on one database. `fake` plays the model; `at(0)` is the address of the first process."""

    def __init__(self, database: str, folder: Path, fake: FakeService, session: aiohttp.ClientSession) -> None:
        self.database = database
        self.folder = folder
        self.fake = fake
        self.session = session
        self._addresses: list[str] = []

    def at(self, process: int) -> str:
        return self._addresses[process]

    @asynccontextmanager
    async def process(self, **variables: str) -> AsyncIterator[None]:
        """Start one more process."""
        model = {"OPENAI_BASE_URL": f"{self.fake.url}/v1", "OPENAI_API_KEY": "x"}
        quiet = {"LOG_LEVEL": "error"}  # The pipe of its log is read only after it has ended.
        running = serving(self.folder, DATABASE_URL=self.database, **model, **quiet, **variables)
        output, _ = await asyncio.to_thread(running.__enter__)
        self._addresses.append(address(output))
        try:
            yield
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)

    async def call(self, method: str, path: str, *, process: int = 0, **options: Any) -> Answer:
        async with self.session.request(method, self.at(process) + path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def ask(self, *, process: int = 0, **body: Any) -> Answer:
        """Post to `/chat/stream`, and read the answer to its end."""
        return await self.call("POST", "/chat/stream", process=process, json=body)

    async def get(self, path: str, *, process: int = 0) -> Any:
        answer = await self.call("GET", path, process=process)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


@asynccontextmanager
async def site_on(database: str, folder: Path) -> AsyncIterator[Site]:
    cookies = aiohttp.CookieJar(unsafe=True)  # An IP address needs this too.
    async with fake_service() as fake, aiohttp.ClientSession(cookie_jar=cookies) as session:
        yield Site(database, folder, fake, session)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Start two processes at once on a XX a file is written."""
    async with AsyncExitStack() as stack:
        database = postgres.database()
        for setting, value in UNUSUAL.items():
            postgres.query(f"ALTER DATABASE {database.rpartition('/')[2]} SET {setting} = '{value}'")
        made = await stack.enter_async_context(site_on(database, tmp_path_factory.mktemp("site")))
        async with asyncio.TaskGroup() as starting:
            for _ in range(2):
                starting.create_task(stack.enter_async_context(made.process(TOOL_POLICY="ask fs.write")))
        yield made
