"""The tools API."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from tools import toolbox
from tools.schemas import ToolList

router = Router(tags=["tools"])


@router.get("/tools", response=ToolList)
async def list_tools(request: HttpRequest) -> dict[str, Any]:
    """The registered tools, with what they take and do."""
    items = [
        {
            "name": tool.name,
            "description": tool.spec.description,
            "parameters": tool.spec.parameters,
            "effect": tool.effect,
            "policy": "allow",
            "enabled": True,
            "reason": None,
        }
        for tool in toolbox.registry()
    ]
    return {"items": items, "count": len(items)}
