"""Run an agent with OpenAI's Responses API: its tool calls are items, and a conversation continues by an id."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8010") + "/v1",
    api_key=os.environ.get("API_KEY", "none"),
)
model = os.environ.get("MODEL") or client.models.list().data[0].id
first = client.responses.create(model=model, input="What is in my workspace?")
for item in first.output:
    print(item.type)
second = client.responses.create(model=model, input="And how large is it?", previous_response_id=first.id)
print(second.output_text)
