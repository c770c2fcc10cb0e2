"""Local speech, measured through a running service: `python -m benchmarks.speech`.

A round trip of 20 sentences in three formats gives accuracy, duration and memory. A long text gives the time to its
first byte. Ten transcriptions at once give the delay of a running chat's tokens. The server and its models share one
core; the upstream and the client have the other. It takes about a minute.
"""

import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.harness import machine
from benchmarks.harness.contestants import PROJECT, Place, service_environment
from benchmarks.harness.load import percentile
from benchmarks.harness.machine import Cores
from benchmarks.harness.process import Process, free_port
from benchmarks.harness.script import Script

SENTENCES: Final = (
    "The quick brown fox jumps over the lazy dog.",
    "Please close the window before you leave the house.",
    "She bought a dozen eggs and a loaf of bread at the market.",
    "The meeting begins at nine in the morning and ends at noon.",
    "My brother lives in a small town near the sea.",
    "We need to finish this report before the end of the week.",
    "The train to the city leaves in fifteen minutes.",
    "It has been raining since yesterday evening.",
    "Could you show me the way to the nearest station?",
    "The children played in the garden until it was dark.",
    "He opened the letter and read it twice.",
    "There are seven days in a week and twelve months in a year.",
    "The doctor asked her to take a long walk every day.",
    "I would like a cup of coffee with milk and no sugar.",
    "The old bridge was closed because of the strong wind.",
    "They have been working on this problem for many years.",
    "The library is open from Monday to Saturday.",
    "A bird built its nest in the tree behind our kitchen.",
    "No one knows what the weather will be like next month.",
    "Thank you very much for your help with the computer.",
)
FORMATS: Final = ("mp3", "opus", "wav")
LONG_TEXT: Final = " ".join(SENTENCES * 5)
MIN_ACCURACY: Final = 0.95
MAX_DELAY_MS: Final = 50.0
AT_ONCE: Final = 10
RATE: Final = 50.0
STREAMS: Final = 4
TOKENS: Final = 400
TOKEN: Final = b'"type":"token"'


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def accuracy(said: str, transcribed: str) -> float:
    """Return 1 less the word error rate: changed, lost and added words, divided by the spoken ones."""
    wanted, found = words(said), words(transcribed)
    row = list(range(len(found) + 1))
    for place, word in enumerate(wanted, 1):
        before, row[0] = row[0], place
        for other, candidate in enumerate(found, 1):
            before, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, before + (word != candidate))
    return 1 - row[-1] / len(wanted)


class Client:
    """Sends requests to the service at one port."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}"

    async def say(self, text: str, format_: str) -> tuple[bytes, float, float]:
        """Return the audio, and the seconds to its first byte and to its last."""
        began = time.perf_counter()
        body = {"text": text, "format": format_, "provider": "local"}
        async with self._session.post(f"{self._url}/speech/synthesis", json=body) as response:
            response.raise_for_status()
            first = await response.content.readany()
            until_first = time.perf_counter() - began
            audio = first + await response.read()
        return audio, until_first, time.perf_counter() - began

    async def transcribe(self, audio: bytes) -> tuple[str, float, float]:
        """Return the text, the seconds that it took, and the seconds of the audio."""
        began = time.perf_counter()
        url = f"{self._url}/speech/transcriptions?provider=local"
        async with self._session.post(url, data=audio, headers={"Content-Type": "audio/wav"}) as response:
            response.raise_for_status()
            result = await response.json()
        return result["text"], time.perf_counter() - began, result["duration"]

    async def chat(self, number: int) -> list[float]:
        """Return the seconds by which each token was later than it should be after the one before it."""
        script = Script(tokens=TOKENS, rate=RATE, nonce=f"n{number}")
        late: list[float] = []
        before = 0.0
        async with self._session.post(f"{self._url}/chat/stream", json={"message": script.directive}) as response:
            response.raise_for_status()
            async for line in response.content:
                if TOKEN in line:
                    now = time.perf_counter()
                    late.append(now - before - 1 / RATE)
                    before = now
        assert len(late) == TOKENS, len(late)
        return late[1:]


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[tuple[Client, Process]]:
    """Yield a service with its upstream."""
    cores = Cores.chosen()
    place = Place(folder=folder, port=free_port(), upstream=free_port())
    environment = service_environment(place, stored=True)
    upstream = [sys.executable, "-m", "benchmarks.upstream", "--port", str(place.upstream)]
    serve = [sys.executable, str(PROJECT / "manage.py"), "serve", "--port", str(place.port)]
    first = Process(upstream, core=cores.others, folder=PROJECT, environment=place.environment, show=False)
    second = Process(serve, core=cores.server, folder=folder, environment=environment, show=False)
    try:
        await first.listening(place.upstream)
        await second.listening(place.port)
        with machine.pinned(cores.others):
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
                yield Client(session, place.port), second
    finally:
        second.stop()
        first.stop()


async def round_trips(client: Client) -> list[float]:
    """Print a line for each format, and return the accuracies."""
    print(
        "| format | words right | synthesis of a sentence, ms p50 | transcription, ms p50 | times as fast as speech |"
    )
    print("| --- | ---: | ---: | ---: | ---: |")
    found = []
    for format_ in FORMATS:
        right, saying, hearing, speech = [], [], [], 0.0
        for sentence in SENTENCES:
            audio, _, said = await client.say(sentence, format_)
            text, transcribed, seconds = await client.transcribe(audio)
            right.append(accuracy(sentence, text))
            saying.append(said * 1_000)
            hearing.append(transcribed * 1_000)
            speech += seconds
        found.append(statistics.mean(right))
        fast = speech / (sum(hearing) / 1_000)
        print(
            f"| {format_} | {found[-1]:.1%} | {statistics.median(saying):.0f} | {statistics.median(hearing):.0f} "
            f"| {fast:.1f} |"
        )
    return found


async def lateness(client: Client) -> list[float]:
    """Return the lateness of every token of a few streams, in milliseconds."""
    streams = await asyncio.gather(*(client.chat(number) for number in range(STREAMS)))
    return [late * 1_000 for stream in streams for late in stream]


async def disturbed(client: Client, audio: bytes) -> list[float]:
    """Return the same while ten transcriptions at a time are requested, repeatedly."""
    chatting = asyncio.create_task(lateness(client))
    while not chatting.done():
        await asyncio.gather(*(client.transcribe(audio) for _ in range(AT_ONCE)))
    return await chatting


async def main() -> int:
    print(machine.described())
    with tempfile.TemporaryDirectory(prefix="benchmarks-speech-") as folder:
        async with service(Path(folder)) as (client, server):
            alone = server.memory_kb()
            audio, _, _ = await client.say(SENTENCES[2], "wav")
            await client.transcribe(audio)
            found = await round_trips(client)
            _, first, whole = await client.say(LONG_TEXT, "mp3")
            print(
                f"{len(LONG_TEXT)} characters: first byte after {first * 1_000:.0f} ms, all of it after {whole:.2f} s"
            )
            print(f"Memory: {alone / 1_024:.0f} MB without the models, {server.memory_kb() / 1_024:.0f} MB with them")
            quiet, busy = await lateness(client), await disturbed(client, audio)
    for name, late in (("alone", quiet), (f"beside {AT_ONCE} transcriptions", busy)):
        result = ", ".join(f"p{percent} {percentile(late, percent):.1f}" for percent in (50, 99))
        print(f"A token of {STREAMS} chats at {RATE:.0f} tokens/s {name} is late by ms: {result}, most {max(late):.1f}")
    delay = percentile(busy, 99) - percentile(quiet, 99)
    met = statistics.mean(found) >= MIN_ACCURACY and delay <= MAX_DELAY_MS
    print(json.dumps({"accuracy": round(statistics.mean(found), 4), "delay_p99_ms": round(delay, 1), "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
