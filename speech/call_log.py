"""What is written of a call of `/speech/`: its row before anything happens, and its end."""

import hashlib
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
from django.db.models import Q
from django.utils import timezone

from access.caller import Caller
from access.limits.budgets import NANO
from speech import conf
from speech.base import SpeechError
from speech.models import SpeechRequest
from speech.service import Heard, Spoken
from spending import ledger
from spending.accounts import payer
from storage.ids import new_id
from storage.writer import writer

MASK: Final = "[secret]"
SHORTEST_SECRET: Final = 8
STOPPED: Final = "The caller went away before the end."
INTERRUPTED: Final = "The process was stopped before the end; what budgets were charged for it stays."

LONGEST: Final = timedelta(days=1)
"""No call is open for as long: `SPEECH_MAX_SECONDS` is an hour at most."""


class Here(msgspec.Struct):
    """What calls are told of this process: its name, set and taken away by whoever holds its lease."""

    process: str | None = None


here = Here()


class CallLog:
    """One call. `open` it before it is made, and end it once. Where nothing is stored, it writes nothing."""

    def __init__(self, caller: Caller, operation: SpeechRequest.Operation, **wanted: str | None) -> None:
        self.payer = payer(caller)
        self._row = SpeechRequest(
            id=new_id(),
            owner=caller.owner,
            operation=operation,
            status=SpeechRequest.Status.RUNNING,
            process=here.process,
            created=timezone.now(),
        )
        self._began = time.perf_counter()
        self._digest = hashlib.sha256()
        self._audio: list[bytes] = []
        self._set(**{name: _name(value) for name, value in wanted.items()})

    async def open(self) -> None:
        """Raises `StorageUnavailable`."""
        await self._keep(partial(self._row.save, force_insert=True))

    def take_audio(self, audio: bytes) -> None:
        """Counts a piece of the audio that was sent or made."""
        self._digest.update(audio)
        self._row.audio_bytes = (self._row.audio_bytes or 0) + len(audio)
        if conf.keeps_audio():
            self._audio.append(audio)

    def take_text(self, text: str) -> None:
        self._set(text_sha256=_sha256(text), characters=len(text))

    def begin(self, spoken: Spoken) -> None:
        """What is known of a synthesis once it is on its way."""
        self._set(
            provider=_name(spoken.provider),
            model=_name(spoken.model),
            voice=_name(spoken.voice),
            format=spoken.format,
            note=_shown(spoken.note),
            cost_usd=_money(spoken.cost_usd),
        )

    async def heard(self, heard: Heard) -> None:
        """The end of a transcription."""
        self.take_text(heard.text)
        self._set(
            provider=heard.provider,
            model=_name(heard.model),
            language=_name(heard.language),
            seconds=heard.duration,
            note=_shown(heard.note),
            cost_usd=_money(heard.cost_usd),
        )
        await self.succeed()

    async def succeed(self) -> None:
        await self._end(SpeechRequest.Status.SUCCEEDED)

    async def fail(self, error: SpeechError) -> None:
        named = {"provider": _name(error.provider)} if error.provider else {}
        self._set(error=_shown(str(error)), code=error.code, **named)
        await self._end(SpeechRequest.Status.FAILED)

    async def cancel(self) -> None:
        self._set(error=STOPPED, code="cancelled")
        await self._end(SpeechRequest.Status.CANCELLED)

    async def _end(self, status: SpeechRequest.Status) -> None:
        self._set(
            status=status,
            ended=timezone.now(),
            duration_ms=round((time.perf_counter() - self._began) * 1_000, 3),
            audio_sha256=self._digest.hexdigest() if self._row.audio_bytes else "",
            audio=b"".join(self._audio) if self._audio else None,
        )
        await self._keep(self._close)

    def _close(self) -> None:
        """Writes the end, and counts the call; what it costs was booked before it.

        It replaces the end that was written by one who took this process for dead, and a row that is gone by now.
        """
        self._row.save()
        now, row = timezone.now(), self._row
        cost = None if row.cost_usd is None else int(row.cost_usd * NANO)
        used = ledger.Used(
            owner=self.payer.owner,
            key=self.payer.key,
            provider=row.provider,
            model=row.model,
            failed=row.status != SpeechRequest.Status.SUCCEEDED,
            nanos=cost,
        )
        ledger.add([used], now)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._row, name, value)

    @staticmethod
    async def _keep(write: Callable[[], None]) -> None:
        if conf.is_stored():
            await writer.write(write)


def processes_at_work() -> set[str]:
    """The processes that open calls name."""
    calls = SpeechRequest.objects.filter(status=SpeechRequest.Status.RUNNING).order_by()
    return {name for name in calls.values_list("process", flat=True).distinct() if name is not None}


def interrupt_calls(processes: Collection[str], now: datetime) -> int:
    """Closes the open calls of processes that are gone, and those that name none and are too old; says how many."""
    of_the_gone = Q(process__in=processes) | Q(process=None, created__lt=now - LONGEST)
    return SpeechRequest.objects.filter(of_the_gone, status=SpeechRequest.Status.RUNNING).update(
        status=SpeechRequest.Status.INTERRUPTED, error=INTERRUPTED, code="interrupted", ended=now
    )


def _name(text: str | None) -> str:
    return _shown(text)[: SpeechRequest.NAME_LENGTH]


def _shown(text: str | None) -> str:
    """What a database takes, without the service's own secrets."""
    clean = (text or "").replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    for secret in conf.known_secrets():
        if len(secret) >= SHORTEST_SECRET:
            clean = clean.replace(secret, MASK)
    return clean[: SpeechRequest.ERROR_LENGTH]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _money(cost: float | None) -> Decimal | None:
    return None if cost is None else Decimal(str(cost))
