"""List and call the service's tools with the MCP SDK for Python."""

import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8010")
HEADERS = {"Authorization": f"Bearer {os.environ['API_KEY']}"} if "API_KEY" in os.environ else {}


async def main() -> None:
    async with (
        httpx2.AsyncClient(headers=HEADERS) as http,
        Client(streamable_http_client(f"{BASE_URL}/mcp", http_client=http)) as client,
    ):
        print(*(tool.name for tool in (await client.list_tools()).tools))
        result = await client.call_tool("fs.list", {})
        print(result.content[0].text)


asyncio.run(main())
