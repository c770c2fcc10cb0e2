"""The service of each event loop of this process."""

from chat import conf
from chat.service import Service
from storage.per_loop import PerLoop
from tools.assembly import tool_context

_services = PerLoop(lambda: Service(providers=conf.provider_registry(), tools=tool_context, stored=conf.is_stored()))
current = _services.current
"""Returns the service of the running event loop."""

use = _services.use
"""Makes another service the running event loop's."""


async def close(drain: float = 0.0) -> None:
    """Close the running event loop's service, if it has one. It refuses new runs from then on.

    Calling this again is safe.
    """
    service = _services.known()
    if service is not None:
        await service.close(drain)
