"""A real server in the test's own event loop, on a real socket, with scripted models behind it."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

import aiohttp
import msgspec
import pytest
import uvicorn
from django.apps import apps
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models.signals import post_migrate
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

from access import authenticator
from audit.models import AuditEntry
from chat import service_registry
from chat.providers.base import Provider
from chat.providers.registry import Entry, ProviderRegistry
from chat.service import Service
from orchestrator_site.asgi import application
from orchestrator_site.http.socket_protocol import SocketProtocol
from orchestrator_site.http.uvicorn_protocol import HttpProtocol
from tests.managing import sqlite_template
from tests.servers import Postgres, Valkey, postgres_server, valkey_server
from tests.streams import Answer
from tools.assembly import tool_context
from tools.execution.context import ToolContext
from tools.policy import parse
from tools.registry import Registry

PROCESSES: Final = 3
"""More than a small machine has cores, because tests mostly wait for processes that they start."""

# An example may take any time on a busy machine.
hypothesis_settings.register_profile("project", deadline=None)
hypothesis_settings.load_profile("project")


class Api:
    """A client of the running server."""

    def __init__(
        self, base_url: str, session: aiohttp.ClientSession, running: Service, tools: Callable[[], ToolContext]
    ) -> None:
        self.base_url = base_url
        self.tools = tools
        self.session = session
        self.service = running

    async def ask(self, body: dict[str, Any] | None = None, **fields: Any) -> Answer:
        """Post to `/chat/stream`, and read the answer to its end."""
        return await self.call("POST", "/chat/stream", json=fields if body is None else body)

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        async with self.session.request(method, self.base_url + path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Any:
        """Return the JSON at a path."""
        return (await self.call("GET", path, **options)).json()

    def open(self, body: dict[str, Any], path: str = "/chat/stream") -> Any:
        """Open a stream: `async with api.open({...}) as response`."""
        return self.session.post(self.base_url + path, json=body)


Start = Callable[..., Awaitable[Api]]


def registry_of(*providers: Provider, fallback: tuple[str, ...] = ()) -> ProviderRegistry:
    entries = [Entry(name=provider.name, make=lambda provider=provider: provider) for provider in providers]
    return ProviderRegistry(entries, fallback=fallback)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in several processes, and named tests in this one, which needs no workers."""
    return PROCESSES if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test with a server the real database.

    Naming the apps spares each flush the signals that follow it.
    """
    mark = pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
    other_database = pytest.mark.skip(reason="needs SQLite, and TEST_DATABASE_URL names another database")
    is_sqlite = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    for item in items:
        if item.get_closest_marker("sqlite") and not is_sqlite:
            item.add_marker(other_database)
        if "start" in getattr(item, "fixturenames", ()):
            item.add_marker(mark)


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings: None) -> bool:
    """Put a migrated database in the place of the test's own: migrating takes seconds, for each worker."""
    if connection.vendor != "sqlite":
        return False
    shutil.copyfile(sqlite_template(), connection.creation._get_test_db_name())
    return True


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Close what the service's own threads still hold open, because PostgreSQL drops no database that is in use."""
    # Django would write all permissions again for each test with a server: half of such a test's time.
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    with django_db_blocker.unblock():
        # The groups that migrations make, and their entries, are gone after a test with a server. So no test has them.
        Group.objects.all().delete()
        AuditEntry.objects.all().delete()
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            connection.close_pool()
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


@pytest.fixture(autouse=True)
def no_content_types_of_another_test() -> None:
    """Forget the content types that Django remembers: their rows are gone after a test with a server."""
    ContentType.objects.clear_cache()


@pytest.fixture
def permissions(db: None) -> None:
    """Make Django's permissions, which are gone after a test with a server."""
    for app in apps.get_app_configs():
        create_permissions(app, verbosity=0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL server; `postgres.database()` returns the URL of a new database."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    with valkey_server() as server:
        yield server


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return a function that starts the service with its providers, and stop the service with the test."""
    closing: list[Callable[[], Awaitable[None]]] = []

    async def begin(
        *providers: Provider,
        tools: Registry | None = None,
        policy: str = "",
        stored: bool = True,
        fallback: tuple[str, ...] = (),
        **changes: Any,
    ) -> Api:
        given = {"policy": parse(policy), **({"registry": tools} if tools else {}), **changes}
        common = partial(msgspec.structs.replace, tool_context(), **given)
        running = Service(providers=registry_of(*providers, fallback=fallback), tools=common, stored=stored)
        service_registry.use(running)
        quiet = {"log_config": None, "access_log": False, "proxy_headers": False, "ws_per_message_deflate": False}
        protocols = {"http": HttpProtocol, "ws": SocketProtocol}
        config = uvicorn.Config(application, port=0, lifespan="off", **protocols, **quiet)
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        session = aiohttp.ClientSession()

        async def end() -> None:
            await session.close()
            await running.close()
            await authenticator.close()
            for listener in server.servers:
                listener.close()
            # The shutdown waits for connections and always takes 0.1 seconds, so it is left out if there are none.
            if server.server_state.connections or server.server_state.tasks:
                await server.shutdown()

        closing.append(end)
        return Api(f"http://127.0.0.1:{port}", session, running, common)

    yield begin
    for end in closing:
        await end()
