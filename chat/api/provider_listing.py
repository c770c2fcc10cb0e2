"""The providers of models as the API tells of them."""

import asyncio
from functools import partial
from typing import Any

from chat.engine.model_port import ProviderError
from chat.providers.registry import ProviderRegistry


async def described(providers: ProviderRegistry) -> list[dict[str, Any]]:
    """Each provider: whether it is configured and why not, and what it can do."""
    return list(await asyncio.gather(*map(partial(_described, providers), providers.names)))


async def _described(providers: ProviderRegistry, name: str) -> dict[str, Any]:
    missing = providers.missing(name)
    told: dict[str, Any] = {"name": name, "configured": not missing, "reason": missing or None, "models": []}
    told |= {"default": name == providers.default, "default_model": None, "capabilities": []}
    if missing:
        return told
    provider = providers.get(name)
    able = {"tools": provider.supports_tools, "images": provider.supports_images}
    told |= {"default_model": provider.default_model, "models": [provider.default_model]}
    told["capabilities"] = ["streaming", *(what for what, can in able.items() if can)]
    try:
        told["models"] = list(await provider.models())
    except ProviderError as error:
        told["reason"] = str(error)
    return told
