"""Startup and shutdown of the application, by ASGI's lifespan protocol.

Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

import asyncio
import logging

from django.db import DatabaseError, connection

from access import authenticator
from chat import service_registry
from orchestrator_site.auditing.head_log import HeadLog
from orchestrator_site.http.asgi_types import Receive, Send
from storage.schema import migrate
from storage.writer import StorageUnavailable
from telemetry import tracing
from tools import assembly
from tools.mcp_client import sessions
from tools.mcp_oauth import flow
from tools.mcp_server.calls.exchange import end_all

logger = logging.getLogger(__name__)


async def lifespan(receive: Receive, send: Send) -> None:
    """Prepare the service at startup, and close it at shutdown."""

    def migrate_and_disconnect() -> None:
        try:
            migrate()
        finally:
            # Otherwise the thread, which belongs to a pool, would hold its connection.
            connection.close()

    heads = HeadLog()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await asyncio.to_thread(migrate_and_disconnect)
                await asyncio.to_thread(assembly.registry)
                await service_registry.current().open()
            except (DatabaseError, StorageUnavailable) as error:
                # The service starts all the same: each request reports the failure and tries again.
                logger.warning("database.unavailable", extra={"error": str(error)})
            heads.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            # Tracing ends last, because runs that end here still send their spans.
            await service_registry.close()
            await end_all()
            await sessions.close()
            await flow.close()
            await heads.close()
            await authenticator.close()
            await tracing.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
