"""Stream an answer with the Python client of this service, which continues by itself after a cut connection."""

import os

from orchestrator_client import Client, Token

with Client(os.environ.get("BASE_URL", "http://127.0.0.1:8010"), api_key=os.environ.get("API_KEY", "")) as client:
    for event in client.stream("What is in my workspace?"):
        if isinstance(event, Token):
            print(event.token, end="", flush=True)
    print()
