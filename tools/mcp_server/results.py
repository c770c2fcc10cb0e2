"""Fields that all results of the server have, by the protocol of the client."""

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from tools.mcp_server.messages.clients import Client

NAME: Final = "orchestrator-service"
SERVER: Final = "io.modelcontextprotocol/serverInfo"
COMPLETE: Final = "complete"
INPUT_REQUIRED: Final = "input_required"


def server_info() -> dict[str, str]:
    """Return the name and the version of the server."""
    return {"name": NAME, "version": settings.VERSION}


def marked(fields: Mapping[str, Any], client: Client, kind: str = COMPLETE) -> dict[str, Any]:
    """Return the fields of a result with those that its protocol adds."""
    if not client.is_stateless:
        return dict(fields)
    return {**fields, "resultType": kind, "_meta": {SERVER: server_info()}}
