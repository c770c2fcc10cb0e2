"""A plain FastAPI service on the openai SDK, which streams the same answer.

It stores nothing, has no tools, and streams cannot be resumed.
"""

import json
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

app = FastAPI()
client = AsyncOpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])


class Ask(BaseModel):
    message: str


@app.post("/chat/stream")
async def stream(ask: Ask) -> StreamingResponse:
    chunks = await client.chat.completions.create(
        model="fake-1",
        messages=[{"role": "user", "content": ask.message}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return StreamingResponse(frames(chunks), media_type="text/event-stream")


async def frames(chunks: AsyncStream[ChatCompletionChunk]) -> AsyncIterator[str]:
    async for chunk in chunks:
        if chunk.choices and (token := chunk.choices[0].delta.content):
            yield frame({"type": "token", "token": token})
    yield frame({"type": "end", "reason": "completed"})


def frame(event: dict[str, str]) -> str:
    return f"data: {json.dumps(event)}\n\n"
