"""A turn: store the message, ask the model, stream its answer, and store it."""

import json
import os

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.utils import timezone
from openai import AsyncOpenAI

from benchmarks.peers.plain_django.models import Message, Run, Session

client = AsyncOpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])


async def stream(request):
    text = json.loads(request.body)["message"]
    session = await sync_to_async(Session.objects.create)(title=text[:80])
    run = await sync_to_async(Run.objects.create)(session=session)
    await sync_to_async(Message.objects.create)(session=session, run=run, role="user", content=text)
    return StreamingHttpResponse(answer(session, run, text), content_type="text/event-stream")


async def answer(session, run, text):
    chunks = await client.chat.completions.create(
        model="fake-1",
        messages=[{"role": "user", "content": text}],
        stream=True,
        stream_options={"include_usage": True},
    )
    tokens = []
    async for chunk in chunks:
        if chunk.choices and (token := chunk.choices[0].delta.content):
            tokens.append(token)
            yield frame({"type": "token", "token": token})
    await sync_to_async(Message.objects.create)(session=session, run=run, role="assistant", content="".join(tokens))
    run.status, run.ended = "completed", timezone.now()
    await sync_to_async(run.save)()
    yield frame({"type": "end", "reason": "completed"})


def frame(event):
    return f"data: {json.dumps(event)}\n\n"
