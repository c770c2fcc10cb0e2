"""A spoken answer: text arrives in pieces, and leaves as audio, sentence by sentence.

A sentence is one call of the log, and is paid for when its turn comes. The service stays only a little ahead of the
listener, so an interrupted answer costs little more than its spoken part.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from access.caller import Caller
from speech.api.calls import logged, synthesize_whole
from speech.api.sockets.messages import Speak
from speech.audio.sentence_buffer import SentenceBuffer
from speech.call_log import CallLog
from speech.models import SpeechRequest
from speech.requests import SynthesisRequest
from web.errors import ApiError

MAX_WAITING_CHARACTERS: Final = 20_000
"""Characters of one answer that are not spoken yet. More text is refused until some are."""

MAX_AHEAD_SECONDS: Final = 20.0
"""Seconds of audio that the client may have before it can have played them."""

SECONDS_A_CHARACTER: Final = 0.06
"""The length of speech, estimated by its text: about 160 English words a minute."""

Send = Callable[[dict[str, Any], bytes], Awaitable[None]]
"""Sends a message, and the binary message that belongs to it if that is not empty."""


class Speaking:
    """One answer of a socket: from its first piece of text until it is spoken, discarded or has failed."""

    def __init__(self, options: Speak, caller: Caller, *, send: Send) -> None:
        self._options = options
        self._caller = caller
        self._send = send
        self._buffer = SentenceBuffer()
        self._sentences: deque[str] = deque()
        self._characters = 0
        self._has_ended = False
        self._changed = asyncio.Event()
        self._spoken = 0
        self._spoken_seconds = 0.0

    @property
    def answer(self) -> str:
        return self._options.answer

    @property
    def is_at_work(self) -> bool:
        """True while a sentence waits."""
        return bool(self._sentences)

    def add(self, text: str, *, end: bool) -> None:
        """Add a piece of the text. Raise `ApiError` (429) if too much waits; the piece is not taken then."""
        if self._characters + len(text) > MAX_WAITING_CHARACTERS:
            error = f"{MAX_WAITING_CHARACTERS} characters wait to be spoken. Send this text after the next sentence."
            raise ApiError(429, "too_many_waiting", error)
        self._sentences += self._buffer.add(text)
        if end:
            self._sentences += self._buffer.end()
            self._has_ended = True
        self._characters += len(text)
        self._changed.set()

    async def run(self) -> None:
        """Speak each sentence in its turn, up to the end of the text. Raise `ApiError` and `StorageUnavailable`."""
        began = asyncio.get_running_loop().time()
        while self._sentences or not self._has_ended:
            if not self._sentences:
                self._changed.clear()
                await self._changed.wait()
                continue
            played = asyncio.get_running_loop().time() - began
            await asyncio.sleep(max(0.0, self._spoken_seconds - played - MAX_AHEAD_SECONDS))
            await self._speak(self._sentences[0])
            sentence = self._sentences.popleft()
            self._spoken += 1
            self._characters = sum(map(len, self._sentences))
            # After a pause in the text, the listener has played everything.
            played = asyncio.get_running_loop().time() - began
            length = len(sentence) * SECONDS_A_CHARACTER / self._options.speed
            self._spoken_seconds = max(self._spoken_seconds, played) + length
        await self._send({"type": "spoken", "answer": self.answer, "sentences": self._spoken}, b"")

    def discarded(self, reason: str) -> dict[str, Any]:
        """Return the message that says how far the answer was spoken. `run` is cancelled before."""
        waiting = [*self._sentences, *self._buffer.end()]
        fields = {"answer": self.answer, "sentences": self._spoken, "discarded": waiting}
        return {"type": "speech_stopped", "reason": reason, **fields}

    async def _speak(self, sentence: str) -> None:
        options = self._options
        call = CallLog(
            self._caller,
            SpeechRequest.Operation.SYNTHESIS,
            provider=options.provider,
            model=options.model,
            voice=options.voice,
            format=options.format,
        )
        request = SynthesisRequest(
            text=sentence,
            provider=options.provider,
            model=options.model,
            voice=options.voice,
            format=options.format,
            speed=options.speed,
            whole=True,
        )
        try:
            audio, mime = await logged(call, synthesize_whole(call, request))
        except ApiError as refusal:
            # A line of dashes, or an emoji: nothing to pronounce, and no reason to end the answer.
            if refusal.code != "invalid_text":
                raise
            audio, mime = b"", ""
        fields = {"answer": self.answer, "sentence": self._spoken + 1, "text": sentence, "mime": mime}
        await self._send({"type": "sentence", **fields, "bytes": len(audio)}, audio)
