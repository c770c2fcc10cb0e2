"""The service of each event loop of this process."""

from chat import conf
from chat.service import Service
from storage.per_loop import PerLoop
from tools.assembly import tool_context


def _made() -> Service:
    return Service(providers=conf.provider_registry(), tools=tool_context, stored=conf.is_stored())


_services = PerLoop(_made)
current = _services.current
"""That of the running event loop."""

use = _services.use
"""Makes another the running event loop's."""


async def close(drain: float = 0.0) -> None:
    """Ends the running event loop's service, if it has one. It refuses new runs from then on; safe to call again."""
    service = _services.known()
    if service is not None:
        await service.close(drain)
