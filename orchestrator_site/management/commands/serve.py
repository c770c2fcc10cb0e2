"""`manage.py serve`: complete the setup, and serve until a signal."""

import signal
import socket
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from access import conf as access_conf
from access.models import ApiKey
from access.network.host_check import is_loopback
from chat import conf
from chat.engine.model_port import ProviderError
from chat.providers.registry import NotConfigured, UnknownProvider
from kernel.privileges import end_with_parent
from orchestrator_site.serving import reload
from orchestrator_site.serving.server import Server
from orchestrator_site.serving.workers import READY, Workers
from storage.schema import migrated_database
from tools import assembly
from tools.workspace import WorkspaceUnavailableError

PORT: Final = 8010
MAX_PORT: Final = 65_535
MAX_WORKERS: Final = 64

WELCOME: Final = """
Listening on http://{address}

  try it:        {curl}
  chat:          uv run python manage.py chat --url http://{address}
  API:           http://{address}/docs
  audit console: http://{address}/admin/   (create a user: uv run python manage.py createsuperuser)
"""
CURL: Final = (
    "curl -N http://{address}/chat/stream -H 'Content-Type: application/json'{key} "
    """-d '{{"message": "What is the capital of France?"}}'"""
)
KEY: Final = ' -H "Authorization: Bearer $API_KEY"'


class Command(BaseCommand):
    help = (
        "Serve the API and the admin until SIGTERM or Ctrl-C. First migrate the database, create the workspace folder, "
        "and load the local model if it is used. Settings come from the environment and .env."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        # The resolver would take a larger number modulo 65,536.
        port = partial(_number, 0, MAX_PORT)
        parser.add_argument("--port", type=port, default=PORT, help=f"port to listen on, 0 for any (default: {PORT})")
        workers = partial(_number, 1, MAX_WORKERS)
        parser.add_argument("--workers", type=workers, default=1, help="number of worker processes (default: 1)")
        parser.add_argument("--worker", type=int, metavar="HANDLE", help=SUPPRESS)
        parser.add_argument("--numbers", type=Path, metavar="FOLDER", help=SUPPRESS)
        parser.add_argument(reload.LISTENING, type=int, metavar="HANDLE", help=SUPPRESS)
        parser.add_argument("--retiring", type=int, nargs="*", default=[], metavar="PID", help=SUPPRESS)

    def handle(
        self,
        *,
        host: str,
        port: int,
        workers: int,
        worker: int | None,
        numbers: Path | None,
        listening: int | None,
        retiring: list[int],
        **_: Any,
    ) -> None:
        if worker is not None:
            # A worker must not outlive its parent, which holds the socket and replaces workers.
            end_with_parent(signal.SIGTERM)
            self._open_workspace()
            with socket.socket(fileno=worker) as shared:
                self._serve(shared, _report_ready, numbers)
            return
        # Otherwise each worker would report it.
        providers = conf.provider_registry()
        try:
            providers.get(providers.default)
        except (UnknownProvider, NotConfigured) as error:
            raise CommandError(str(error)) from None
        if workers > 1 and not conf.is_stored():
            raise CommandError("--workers needs ENABLE_PERSISTENCE=true: workers share their runs in the database.")
        if not is_loopback(host) and not _is_keyed():
            raise CommandError(
                f"--host {host} accepts other machines, which needs a key. Set API_KEY, create a key with "
                "manage.py create_api_key, or listen on 127.0.0.1."
            )
        try:
            bound = listen(host, port) if listening is None else socket.socket(fileno=listening)
        # A host name that cannot be encoded is a UnicodeError.
        except (OSError, UnicodeError) as error:
            raise CommandError(f"Cannot listen on {host} port {port}: {error}. Choose another with --port.") from None
        # The port is taken before anything is prepared, so that a second service fails at once and changes nothing.
        with bound:
            with migrated_database():
                connection.close()
            self._open_workspace()
            self.stderr.write("Getting ready ...")
            port = bound.getsockname()[1]
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            welcome = partial(self._welcome, address, KEY if _is_keyed() else "")
            if workers > 1:
                sys.exit(Workers(bound, workers, welcome, numbers=numbers, retiring=retiring).run())
            if self._serve(bound, welcome).retired:
                reload.execute(bound)

    def _serve(self, listening: socket.socket, ready: Callable[[], None], numbers: Path | None = None) -> Server:
        server = Server(ready, numbers)
        try:
            # The server closes the socket that it is given.
            server.run([listening.dup()])
        except ProviderError as error:
            raise CommandError(str(error)) from None
        return server

    def _open_workspace(self) -> None:
        try:
            assembly.registry()
        except (WorkspaceUnavailableError, OSError) as error:
            raise CommandError(f"ALLOW_FS_BASE names a folder that cannot be used: {error}") from None

    def _welcome(self, address: str, key: str) -> None:
        curl = CURL.format(address=address, key=key)
        self.stdout.write(WELCOME.format(address=address, curl=curl))
        self.stdout.flush()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; at `::`, on all addresses of both IPv4 and IPv6. Raise `OSError`."""
    info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    address: tuple[Any, ...] = info[4]
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=info[0], backlog=4_096, dualstack_ipv6=both)


def _report_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()


def _is_keyed() -> bool:
    """Return whether callers need a key. A database that does not exist yet has none."""
    try:
        return bool(access_conf.api_key()) or ApiKey.objects.any()
    except DatabaseError:
        return False


def _number(least: int, most: int, text: str) -> int:
    if not (text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise ArgumentTypeError(f"{text[:20]!r} is not a number from {least} to {most}")
    return int(text)
