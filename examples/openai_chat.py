"""Use the service as a model with OpenAI's SDK. The service's tools run unseen."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8010") + "/v1",
    api_key=os.environ.get("API_KEY", "none"),
)
model = os.environ.get("MODEL") or client.models.list().data[0].id
stream = client.chat.completions.create(
    model=model, messages=[{"role": "user", "content": "What is in my workspace?"}], stream=True
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
