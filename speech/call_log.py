"""The log of the calls of `/speech/`: a row is written before a call starts, and updated when it ends."""

import hashlib
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from access.caller import Caller
from access.limits.budgets import NANO
from kernel.process import holder
from speech import conf
from speech.base import SpeechError
from speech.models import SpeechRequest
from speech.service import Synthesis, Transcription
from spending import ledger
from spending.accounts import payer
from storage.ids import new_id
from storage.writer import writer

MASK: Final = "[secret]"
# Shorter secrets would mask ordinary words.
MIN_SECRET_LENGTH: Final = 8
CANCELLED: Final = "The client disconnected before the end."
INTERRUPTED: Final = "The process stopped before the end. The cost stays booked on the budgets."

# No call stays open this long, because `SPEECH_MAX_SECONDS` is at most an hour.
MAX_CALL_AGE: Final = timedelta(days=1)


class CallLog:
    """The log of one call. `open` it before the call, and end it once. It writes nothing if persistence is off."""

    def __init__(self, caller: Caller, operation: SpeechRequest.Operation, **requested: str | None) -> None:
        self.payer = payer(caller)
        self._row = SpeechRequest(
            id=new_id(),
            owner=caller.owner,
            operation=operation,
            status=SpeechRequest.Status.RUNNING,
            process=holder.name,
            created=timezone.now(),
        )
        self._began = time.perf_counter()
        self._digest = hashlib.sha256()
        self._audio: list[bytes] = []
        self._set(**{name: _name(value) for name, value in requested.items()})

    async def open(self) -> None:
        """Insert the row. Raises `StorageUnavailable`."""
        await self._write(partial(self._row.save, force_insert=True))

    def take_audio(self, audio: bytes) -> None:
        """Count and hash a piece of the received or synthesized audio."""
        self._digest.update(audio)
        self._row.audio_bytes = (self._row.audio_bytes or 0) + len(audio)
        if conf.keeps_audio():
            self._audio.append(audio)

    def take_text(self, text: str) -> None:
        # Only the hash is stored. `replace`, because a lone surrogate has no UTF-8 form.
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        self._set(text_sha256=digest, characters=len(text))

    def begin(self, synthesis: Synthesis) -> None:
        """Set the fields of a synthesis that are known when its audio begins."""
        self._set(
            provider=_name(synthesis.provider),
            model=_name(synthesis.model),
            voice=_name(synthesis.voice),
            format=synthesis.format,
            note=_sanitized(synthesis.note),
            cost_usd=_money(synthesis.cost_usd),
        )

    async def complete(self, transcription: Transcription) -> None:
        """Write the end of a transcription."""
        self.take_text(transcription.text)
        self._set(
            provider=transcription.provider,
            model=_name(transcription.model),
            language=_name(transcription.language),
            seconds=transcription.duration,
            note=_sanitized(transcription.note),
            cost_usd=_money(transcription.cost_usd),
        )
        await self.succeed()

    async def succeed(self) -> None:
        await self._end(SpeechRequest.Status.SUCCEEDED)

    async def fail(self, error: SpeechError) -> None:
        named = {"provider": _name(error.provider)} if error.provider else {}
        self._set(error=_sanitized(str(error)), code=error.code, **named)
        await self._end(SpeechRequest.Status.FAILED)

    async def cancel(self) -> None:
        self._set(error=CANCELLED, code="cancelled")
        await self._end(SpeechRequest.Status.CANCELLED)

    async def _end(self, status: SpeechRequest.Status) -> None:
        self._set(
            status=status,
            ended=timezone.now(),
            duration_ms=round((time.perf_counter() - self._began) * 1_000, 3),
            audio_sha256=self._digest.hexdigest() if self._row.audio_bytes else "",
            audio=b"".join(self._audio) if self._audio else None,
        )
        await self._write(self._close)

    def _close(self) -> None:
        """Write the end of the call, and add it to the usage totals."""
        # `save` also replaces the end that another process wrote when it believed this one dead, and inserts the row
        # again if it was pruned meanwhile.
        self._row.save()
        # This counts usage only. The cost was booked on the budgets before the call.
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
    async def _write(write: Callable[[], None]) -> None:
        if conf.is_stored():
            await writer.write(write)


def processes_at_work() -> set[str]:
    """Return the names of the processes with open calls."""
    calls = SpeechRequest.objects.filter(status=SpeechRequest.Status.RUNNING).order_by()
    return {name for name in calls.values_list("process", flat=True).distinct() if name is not None}


def interrupt_calls(processes: Collection[str], now: datetime) -> int:
    """Close the open calls of stopped processes, and return their number."""
    # A call without a process was opened by one that held no lease. Only its age shows that it is over.
    orphaned = Q(process__in=processes) | Q(process=None, created__lt=now - MAX_CALL_AGE)
    return SpeechRequest.objects.filter(orphaned, status=SpeechRequest.Status.RUNNING).update(
        status=SpeechRequest.Status.INTERRUPTED, error=INTERRUPTED, code="interrupted", ended=now
    )


def _name(text: str | None) -> str:
    return _sanitized(text)[: SpeechRequest.NAME_LENGTH]


def _sanitized(text: str | None) -> str:
    """Return the text without secrets, and in a form that every database accepts."""
    # PostgreSQL rejects NUL in text, and neither database stores lone surrogates.
    clean = (text or "").replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    for secret in conf.known_secrets():
        if len(secret) >= MIN_SECRET_LENGTH:
            clean = clean.replace(secret, MASK)
    return clean[: SpeechRequest.ERROR_LENGTH]


def _money(cost: float | None) -> Decimal | None:
    # By way of `str`, because `Decimal(0.1)` has 55 digits.
    return None if cost is None else Decimal(str(cost))
