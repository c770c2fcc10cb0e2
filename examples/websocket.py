"""Chat over a WebSocket: every event is one message."""

import asyncio
import json
import os

import aiohttp

BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8010")
HEADERS = {"Authorization": f"Bearer {os.environ['API_KEY']}"} if "API_KEY" in os.environ else {}


async def main() -> None:
    async with aiohttp.ClientSession(headers=HEADERS) as session, session.ws_connect(f"{BASE_URL}/ws/chat") as socket:
        await socket.send_json({"type": "chat", "message": "What is in my workspace?"})
        async for message in socket:
            event = json.loads(message.data)
            print(event.get("token", ""), end="", flush=True)
            if event["type"] in {"end", "error", "refused"}:
                break
    print()


asyncio.run(main())
