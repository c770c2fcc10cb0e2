"""Live transcription: utterances in a stream of samples, each transcribed while it is spoken and at its end.

An utterance is one call of the log. Its row is written before its first transcription. While it is spoken, only a
provider on this machine is asked, because that costs nothing. A vendor is asked once, at the end.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from access.caller import Caller
from speech import conf
from speech.api.calls import logged, transcribe_whole
from speech.api.sockets.messages import Listen
from speech.audio.endpoints import EndpointDetector
from speech.audio.wav import wav_of
from speech.base import SAMPLE_BYTES, Provider, SpeechError
from speech.call_log import CallLog
from speech.models import SpeechRequest
from speech.requests import TranscriptionRequest
from storage.writer import StorageUnavailable
from web.errors import ApiError

MAX_FRAME_BYTES: Final = 65_536
"""Bytes of one binary message: 0.7 s at the highest rate."""

MAX_UTTERANCE_SECONDS: Final = 60.0
MAX_UTTERANCES_WAITING: Final = 4
"""Utterances that have ended and are not transcribed yet."""

PARTIAL_SECONDS: Final = 1.0
"""New audio after which an utterance is transcribed again while it is spoken."""

PRE_ROLL_SECONDS: Final = 0.3
"""Audio that is kept from before the beginning of speech was detected, because words begin quietly."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Refuse = Callable[[ApiError | StorageUnavailable, int], Awaitable[None]]
"""Reports a failure of the utterance with this number."""


class Utterance:
    """The samples of an utterance, and its call in the log once it has one."""

    def __init__(self, number: int, beginning: bytes) -> None:
        self.number = number
        self.samples = bytearray(beginning)
        self.has_ended = False
        self.call: CallLog | None = None
        self.transcribed = 0
        """Bytes that the newest transcription covers."""


class Listening:
    """The utterances of one `listen` message.

    `on_speech` is called with the number of an utterance when it begins. `count` is called once for each utterance,
    before it is transcribed.
    """

    def __init__(
        self,
        asked: Listen,
        caller: Caller,
        *,
        send: Send,
        refuse: Refuse,
        on_speech: Callable[[int], None],
        count: Callable[[], Awaitable[None]],
        numbers: Iterator[int],
    ) -> None:
        self._asked = asked
        self._caller = caller
        self._send = send
        self._refuse = refuse
        self._on_speech = on_speech
        self._count = count
        self._provider = _local_provider(asked)
        self._detector = EndpointDetector(asked.rate)
        self._bytes_a_second = asked.rate * SAMPLE_BYTES
        self._unread = bytearray()
        self._pre_roll = bytearray()
        self._current: Utterance | None = None
        self._ended: deque[Utterance] = deque()
        self._numbers = numbers
        self._is_closed = False
        self._changed = asyncio.Event()

    @property
    def is_at_work(self) -> bool:
        """True while an utterance is spoken or waits for its transcription."""
        return self._current is not None or bool(self._ended)

    def take(self, frame: bytes) -> None:
        """Take the next samples. Raise `ApiError` (413, 422, 429), after which only the next `listen` helps."""
        if len(frame) > MAX_FRAME_BYTES:
            error = f"A binary message has {len(frame)} bytes (at most {MAX_FRAME_BYTES}). Send shorter ones."
            raise ApiError(413, "audio_too_large", error)
        if len(frame) % SAMPLE_BYTES:
            error = "A binary message has half of a sample. Send 16-bit samples, little-endian, of one channel."
            raise ApiError(422, "invalid_audio", error)
        self._unread += frame
        size = self._detector.window_bytes
        whole = len(self._unread) - len(self._unread) % size
        windows, self._unread = bytes(self._unread[:whole]), self._unread[whole:]
        for start in range(0, whole, size):
            self._take_window(windows[start : start + size])

    def close(self) -> None:
        """End the utterance. What has ended is still transcribed, and then `run` returns."""
        if self._current is not None:
            self._current.samples += self._unread
            with suppress(ApiError):
                self._end_utterance()
        self._is_closed = True
        self._changed.set()

    async def run(self) -> None:
        """Transcribe, one recording at a time, until `close` is called and everything is transcribed."""
        try:
            while True:
                if self._ended:
                    await self._finish(self._ended[0])
                    self._ended.popleft()
                elif self._is_closed:
                    return
                elif self._current is not None and self._is_partial_due(self._current):
                    await self._transcribe_part(self._current)
                else:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            # Closed in the middle: the rows of utterances that had a partial transcription.
            for utterance in (*self._ended, *([self._current] if self._current else [])):
                if utterance.call is not None:
                    await utterance.call.cancel()

    def _take_window(self, window: bytes) -> None:
        change = self._detector.take(window)
        if change == "started":
            self._current = Utterance(next(self._numbers), bytes(self._pre_roll))
            self._pre_roll.clear()
            self._on_speech(self._current.number)
        if self._current is None:
            self._pre_roll += window
            surplus = len(self._pre_roll) - int(PRE_ROLL_SECONDS * self._bytes_a_second)
            del self._pre_roll[: max(0, surplus)]
            return
        self._current.samples += window
        if change == "ended":
            self._end_utterance()
        elif len(self._current.samples) > MAX_UTTERANCE_SECONDS * self._bytes_a_second:
            self._end_utterance()
            error = (
                f"An utterance can have {MAX_UTTERANCE_SECONDS:g} s. It ends here and is transcribed. "
                "Send listen to continue."
            )
            raise ApiError(413, "audio_too_long", error)
        self._changed.set()

    def _end_utterance(self) -> None:
        utterance, self._current = self._current, None
        self._detector.reset()
        if utterance is None:
            return
        utterance.has_ended = True
        self._ended.append(utterance)
        self._changed.set()
        if len(self._ended) > MAX_UTTERANCES_WAITING:
            error = f"{MAX_UTTERANCES_WAITING} utterances wait for their transcription. Pause, then send listen again."
            raise ApiError(429, "too_many_waiting", error)

    def _is_partial_due(self, utterance: Utterance) -> bool:
        new = len(utterance.samples) - utterance.transcribed
        return self._provider is not None and new >= PARTIAL_SECONDS * self._bytes_a_second

    async def _open(self, utterance: Utterance) -> CallLog:
        """Return the call of an utterance, which is counted and in the log before anything is transcribed."""
        if utterance.call is None:
            await self._count()
            asked = self._asked
            utterance.call = CallLog(
                self._caller,
                SpeechRequest.Operation.TRANSCRIPTION,
                provider=asked.provider,
                model=asked.model,
                language=asked.language,
                format="wav",
            )
            await utterance.call.open()
        return utterance.call

    async def _transcribe_part(self, utterance: Utterance) -> None:
        try:
            await self._open(utterance)
            utterance.transcribed = len(utterance.samples)
            provider = self._provider.name if self._provider else None
            transcription = await conf.service().transcribe(self._request(utterance, provider))
        except SpeechError:
            # The end of the utterance brings the whole text, or the failure.
            return
        except (ApiError, StorageUnavailable) as error:
            # It is not counted, or has no row: it is not transcribed.
            self._current = None if self._current is utterance else self._current
            await self._refuse(error, utterance.number)
            return
        if not utterance.has_ended:
            await self._send(
                {
                    "type": "transcript",
                    "utterance": utterance.number,
                    "final": False,
                    "text": transcription.text,
                    "seconds": transcription.duration,
                }
            )

    async def _finish(self, utterance: Utterance) -> None:
        try:
            call = await self._open(utterance)
            utterance.call = None  # It closes its row itself from here on.
            transcription = await logged(call, transcribe_whole(call, self._request(utterance, self._asked.provider)))
        except (ApiError, StorageUnavailable) as error:
            await self._refuse(error, utterance.number)
            return
        await self._send(
            {
                "type": "transcript",
                "utterance": utterance.number,
                "final": True,
                "text": transcription.text,
                "seconds": transcription.duration,
                "language": transcription.language,
                "provider": transcription.provider,
                "model": transcription.model,
                "cost_usd": transcription.cost_usd,
                "note": transcription.note,
            }
        )

    def _request(self, utterance: Utterance, provider: str | None) -> TranscriptionRequest:
        return TranscriptionRequest(
            audio=wav_of(utterance.samples, self._asked.rate),
            provider=provider,
            model=self._asked.model,
            language=self._asked.language,
            format="wav",
        )


def _local_provider(asked: Listen) -> Provider | None:
    """Return the provider that will answer, if it runs on this machine. Raises `SpeechError`."""
    providers = conf.service().providers
    named = asked.provider
    first = providers.get(named, "transcription") if named else providers.candidates("transcription")[0]
    return None if first.leaves_machine else first
