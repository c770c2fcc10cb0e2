"""The providers of models, as the API lists them."""

import asyncio
import logging
from typing import Any, Final

from chat.engine.model_port import ProviderError
from chat.providers.registry import ProviderRegistry

logger = logging.getLogger(__name__)

BROKEN: Final = "The models cannot be listed because of an internal error; see the service's log."


async def provider_items(providers: ProviderRegistry) -> list[dict[str, Any]]:
    """Return each provider with its models and capabilities, or the reason why it is not configured."""

    async def item(name: str) -> dict[str, Any]:
        missing = providers.missing(name)
        fields: dict[str, Any] = {"name": name, "configured": not missing, "reason": missing or None, "models": []}
        fields |= {"default": name == providers.default, "default_model": None, "capabilities": [], "warning": None}
        if missing:
            return fields
        try:
            provider = providers.get(name)
            model = provider.default_model
            capabilities = {"tools": provider.supports(model, "tools"), "images": provider.supports(model, "images")}
            fields |= {"default_model": model or None, "models": [model] if model else []}
            fields["capabilities"] = ["streaming", *(what for what, supported in capabilities.items() if supported)]
            fields["models"] = list(await provider.models())
            fields["warning"] = provider.warning() or None
        except ProviderError as error:
            fields["reason"] = str(error)
        except Exception:
            # One provider's fault must not hide the others.
            logger.exception("provider.broken", extra={"provider": name})
            fields["reason"] = BROKEN
        return fields

    # Concurrently, because each remote service is asked for its list of models.
    return list(await asyncio.gather(*map(item, providers.names)))
