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
from orchestrator_site.serving.server import Server
from orchestrator_site.serving.workers import READY, Workers
from storage.schema import migrated_database
from tools import assembly
from tools.workspace import WorkspaceUnavailableError

PORT: Final = 8010
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
        parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on, 0 for any (default: {PORT})")
        parser.add_argument("--workers", type=_count, default=1, help="number of worker processes (default: 1)")
        parser.add_argument("--worker", type=int, metavar="HANDLE", help=SUPPRESS)
        parser.add_argument("--numbers", type=Path, metavar="FOLDER", help=SUPPRESS)

    def handle(self, *, host: str, port: int, workers: int, worker: int | None, numbers: Path | None, **_: Any) -> None:
        if worker is not None:
            # A worker must not outlive its parent, which holds the socket and replaces workers.
            end_with_parent(signal.SIGTERM)
            self._open_workspace()
            with socket.socket(fileno=worker) as listening:
                self._serve(listening, _report_ready, numbers)
            return
        if workers > 1 and not conf.is_stored():
            raise CommandError("--workers needs ENABLE_PERSISTENCE=true: workers share their runs in the database.")
        if not is_loopback(host) and not _is_keyed():
            raise CommandError(
                f"--host {host} accepts other machines, which needs a key. Set API_KEY, create a key with "
                "manage.py create_api_key, or listen on 127.0.0.1."
            )
        try:
            info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            bound = socket.create_server(info[4][:2], family=info[0], backlog=4_096)
        except (OSError, OverflowError) as error:
            raise CommandError(f"Cannot listen on {host} port {port}: {error}. Choose another with --port.") from None
        # The port is taken before anything is prepared, so that a second service fails at once and changes nothing.
        with bound as listening:
            with migrated_database():
                connection.close()
            self._open_workspace()
            self.stderr.write("Getting ready ...")
            port = listening.getsockname()[1]
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            welcome = partial(self._welcome, address, KEY if _is_keyed() else "")
            if workers > 1:
                sys.exit(Workers(listening, workers, welcome).run())
            self._serve(listening, welcome)

    def _serve(self, listening: socket.socket, ready: Callable[[], None], numbers: Path | None = None) -> None:
        try:
            Server(ready, numbers).run([listening])
        except (ProviderError, UnknownProvider, NotConfigured) as error:
            raise CommandError(str(error)) from None

    def _open_workspace(self) -> None:
        try:
            assembly.registry()
        except (WorkspaceUnavailableError, OSError) as error:
            raise CommandError(f"ALLOW_FS_BASE names a folder that cannot be used: {error}") from None

    def _welcome(self, address: str, key: str) -> None:
        curl = CURL.format(address=address, key=key)
        self.stdout.write(WELCOME.format(address=address, curl=curl))
        self.stdout.flush()


def _report_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()


def _is_keyed() -> bool:
    """Return whether callers need a key. A database that does not exist yet has none."""
    try:
        return bool(access_conf.api_key()) or ApiKey.objects.any()
    except DatabaseError:
        return False


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_WORKERS}")
    return int(text)
