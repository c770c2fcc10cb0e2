"""Speech with vendors on this machine and the real local models, shared by all tests here."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from speech import conf
from speech.audio.limits import Limits
from speech.base import Timeouts
from speech.providers.google import Google
from speech.providers.google_credentials import key_headers
from speech.providers.local import Local
from speech.providers.openai import OpenAI
from speech.providers.registry import Entry, SpeechProviderRegistry
from speech.selection import Defaults
from speech.service import SpeechService
from speech.worker.pool import WorkerPool
from tests.speech.vendor import Vendor, vendor

KEY = "sk-a-key-of-the-tests"
WORKERS = WorkerPool(parallel=1, threads=1)
CHECKERS = WorkerPool(parallel=1, threads=1)
TIMEOUTS = Timeouts(connect=5, first_byte=5, idle=5)
DEFAULTS = Defaults(stt_model="whisper-1", tts_model="tts-1", voice="alloy")

Make = Callable[..., SpeechService]


@pytest.fixture
async def fake() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


@pytest.fixture
def make(fake: Vendor) -> Make:
    """Return a function that creates a service; `missing` are the providers that are not configured."""

    def made(missing: tuple[str, ...] = (), default: str = "openai", **changes: Any) -> SpeechService:
        limits = Limits(**changes)
        makers: dict[str, Callable[[], Any]] = {
            "openai": lambda: OpenAI(api_key=KEY, base_url=fake.url, timeouts=TIMEOUTS, any_model=False),
            "google": lambda: Google(
                headers=key_headers(KEY), stt_url=fake.url, tts_url=fake.url, timeouts=TIMEOUTS, secrets=(KEY,)
            ),
            "local": lambda: Local(
                WORKERS, max_audio_seconds=limits.max_audio_seconds, max_characters=limits.max_characters
            ),
        }
        entries = [
            Entry(name=name, make=maker, missing="its key is not set" if name in missing else "")
            for name, maker in makers.items()
        ]
        return SpeechService(
            providers=SpeechProviderRegistry(entries, default=default),
            limits=limits,
            checkers=CHECKERS,
            defaults=DEFAULTS,
            priced=frozenset({"openai", "google"}),
        )

    return made


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[SpeechService], None]:
    """Return a function that makes a service the one of the process."""

    def used(service: SpeechService) -> None:
        monkeypatch.setattr(conf, "service", lambda: service)

    return used
