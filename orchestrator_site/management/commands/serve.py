"""`orchestrator serve`: complete the setup, and serve until a signal."""

import os
import signal
import socket
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from access.network.host_check import is_loopback
from chat import conf
from chat.engine.model_port import ProviderError
from chat.providers.registry import NotConfigured, UnknownProvider
from command_line.arguments import MAX_PORT, number
from command_line.database import migrated_database
from command_line.program import PROGRAM
from kernel.privileges import end_with_parent
from orchestrator_site.sample import place_sample
from orchestrator_site.serving import reload
from orchestrator_site.serving.server import Server
from orchestrator_site.serving.welcome import is_keyed, welcome
from orchestrator_site.serving.workers import READY, Workers
from tools import assembly
from tools.workspace import WorkspaceUnavailableError

PORT: Final = 8010
MAX_WORKERS: Final = 64


class Command(BaseCommand):
    help = (
        "Serve the API and the admin until SIGTERM or Ctrl-C. First migrate the database, create the workspace folder, "
        "and load the local model if it is used. A workspace that is new or empty gets a sample. Settings come from "
        "the environment and .env."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        # The resolver would take a larger number modulo 65,536.
        port = number(0, MAX_PORT)
        parser.add_argument("--port", type=port, default=PORT, help=f"port to listen on, 0 for any (default: {PORT})")
        workers = number(1, MAX_WORKERS)
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
        if not is_loopback(host) and not is_keyed():
            raise CommandError(
                f"--host {host} accepts other machines, which needs a key. Set API_KEY, or listen on 127.0.0.1, or run "
                f"{PROGRAM} migrate and {PROGRAM} create_api_key NAME."
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
            place_sample()
            self._open_workspace()
            self.stderr.write("Getting ready ...")
            port = bound.getsockname()[1]
            ready = partial(self._write, welcome(host, port, keyed=is_keyed()))
            if workers > 1:
                if not settings.PROVIDER_SETTINGS["LOCAL_MODEL_THREADS"]:
                    # Each worker has a local model of its own. Its threads spin, and more of them than cores starve.
                    os.environ["LOCAL_MODEL_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
                sys.exit(Workers(bound, workers, ready, numbers=numbers, retiring=retiring).run())
            if self._serve(bound, ready).retired:
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

    def _write(self, text: str) -> None:
        self.stdout.write(text)
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
