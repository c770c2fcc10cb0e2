"""The service of each event loop of this process."""

import asyncio
from weakref import WeakKeyDictionary

from chat import conf
from chat.service import Service
from tools.toolbox import toolset

_services: "WeakKeyDictionary[asyncio.AbstractEventLoop, Service]" = WeakKeyDictionary()


def current() -> Service:
    """That of the running event loop, made when it is first needed: not every server tells when it starts."""
    loop = asyncio.get_running_loop()
    if loop not in _services:
        _services[loop] = Service(catalogue=conf.catalogue(), tools=toolset, stored=conf.is_stored())
    return _services[loop]


def use(service: Service) -> None:
    """Makes `service` the running event loop's."""
    _services[asyncio.get_running_loop()] = service


async def close(drain: float = 0.0) -> None:
    """Ends the running event loop's service, if it has one. It refuses new runs from then on; safe to call again."""
    service = _services.get(asyncio.get_running_loop())
    if service is not None:
        await service.close(drain)
