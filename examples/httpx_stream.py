"""Stream an answer with httpx, and continue behind the last event if the connection is cut."""

import json
import os

import httpx

BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8010")
HEADERS = {"Authorization": f"Bearer {os.environ['API_KEY']}"} if "API_KEY" in os.environ else {}


def main() -> None:
    last, run, ended = "0", "", False
    with httpx.Client(base_url=BASE_URL, headers=HEADERS, timeout=60) as client:
        request = client.build_request("POST", "/chat/stream", json={"message": "What is in my workspace?"})
        while not ended:
            try:
                response = client.send(request, stream=True)
                response.raise_for_status()
                run = response.headers["X-Run-Id"]
                for line in response.iter_lines():
                    if line.startswith("id: "):
                        last = line.removeprefix("id: ")
                    elif line.startswith("data: "):
                        event = json.loads(line.removeprefix("data: "))
                        ended = event["type"] in {"end", "error"}
                        print(event.get("token", ""), end="", flush=True)
            except httpx.TransportError:
                if not run:
                    raise
            request = client.build_request("GET", f"/chat/runs/{run}/stream", headers={"Last-Event-ID": last})
    print()


main()
