"""`/ws/speech`: live transcription while a person speaks, and an answer that is spoken while it is written.

A client sends JSON objects with a `type` (`auth`, `listen`, `stop`, `speak` or `stop_speaking`), and samples as binary
messages between `listen` and `stop`. The service sends `speech_started` and `transcript`; `sentence`, each followed by
one binary message with its audio; `spoken` and `speech_stopped`; and `done` or `refused` as replies.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final

from access import authenticator
from access.caller import Caller, unauthorized
from access.sockets.consumer import DROPPED, KeyedConsumer
from speech.api.calls import check_enabled
from speech.api.errors import api_error
from speech.api.sockets.listening import Listening
from speech.api.sockets.messages import Command, Listen, Speak, StopSpeaking, parse_message
from speech.api.sockets.speaking import Speaking
from speech.base import SpeechError
from storage.writer import StorageUnavailable
from web.errors import ApiError
from web.storage_errors import storage_error

SCOPES: Final = ("speech",)

IDLE_SECONDS: Final = 60.0
"""Seconds without a message and without work after which a socket is closed."""


def refusal_of(error: Exception) -> ApiError | None:
    """Return the HTTP error of a failure, or None for a fault of the service itself."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, SpeechError):
        return api_error(error)
    return storage_error(error) if isinstance(error, StorageUnavailable) else None


class SpeechConsumer(KeyedConsumer):
    """One socket, with at most one recording and one spoken answer at a time."""

    parse = staticmethod(parse_message)
    refusal_of = staticmethod(refusal_of)
    # Text and audio count in the order in which they are sent.
    is_ordered: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._listening: Listening | None = None
        self._speaking: Speaking | None = None
        self._speech: asyncio.Task[None] | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._discarded = ""
        self._ignores_audio = False
        self._active_at = 0.0

    async def connect(self) -> None:
        self._active_at = asyncio.get_running_loop().time()
        await super().connect()
        self.spawn(self._close_when_idle())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self._active_at = asyncio.get_running_loop().time()
        if bytes_data is None:
            await super().receive(text_data)
        elif self.caller is None:
            await self.shut(unauthorized('The first message must be {"type": "auth", "key": "..."}.'))
        elif not self._ignores_audio:
            try:
                if self._listening is None:
                    raise ApiError(409, "not_listening", "The socket is not listening. Send listen before audio.")
                self._listening.take(bytes_data)
            except ApiError as refusal:
                # The client may have sent much more already. One refusal suffices until its next `listen`.
                self._ignores_audio = True
                self._stop_listening()
                await self.refuse(refusal, "")

    async def disconnect(self, code: int) -> None:
        await super().disconnect(code)
        if self._working:
            # They close their rows.
            await asyncio.wait(self._working)

    def scopes_of(self, command: Command) -> Sequence[str] | None:
        # Models write many small pieces. An answer counts once.
        is_next_piece = isinstance(command, Speak) and self._speaking and command.answer == self._speaking.answer
        return None if is_next_piece else SCOPES

    async def execute(self, command: Command, caller: Caller) -> None:
        if isinstance(command, Listen):
            check_enabled()
            self._listen(command, caller)
        elif isinstance(command, Speak):
            check_enabled()
            self._add_text(command, caller)
        elif isinstance(command, StopSpeaking):
            await self._interrupt("stop_speaking")
        elif self._listening is None:
            raise ApiError(409, "not_listening", "The socket is not listening. Send listen first.")
        else:
            self._stop_listening()
        if command.ref or not isinstance(command, Speak):
            await self.reply({"type": "done", "action": command.type}, command.ref)

    def stop(self) -> None:
        for task in self._working:
            task.cancel()

    def _listen(self, command: Listen, caller: Caller) -> None:
        if self._listening is not None:
            raise ApiError(409, "already_listening", "The socket is listening already. Send stop first.")

        def on_speech(number: int) -> None:
            self.spawn(self.reply({"type": "speech_started", "utterance": number}))
            if command.barge_in:
                self.spawn(self._interrupt("speech"))

        async def count() -> None:
            current = await authenticator.current().again(caller, self.client_info)
            await authenticator.current().check(current, self.client_info, SCOPES)

        async def refuse(error: ApiError | StorageUnavailable, number: int) -> None:
            refusal = error if isinstance(error, ApiError) else storage_error(error)
            await self.refuse(refusal, "", utterance=number)

        self._listening = Listening(
            command,
            caller,
            send=self.reply,
            refuse=refuse,
            on_speech=on_speech,
            count=count,
            numbers=self._numbers,
        )
        self._ignores_audio = False
        self._work(self._listening.run)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _add_text(self, command: Speak, caller: Caller) -> None:
        if command.answer == self._discarded:
            raise ApiError(409, "answer_discarded", "This answer was discarded. Give the next one another name.")
        if self._speaking is not None and self._speaking.answer != command.answer:
            error = "Another answer is being spoken. Wait for spoken, or send stop_speaking."
            raise ApiError(409, "already_speaking", error)
        if self._speaking is None:
            self._speaking = Speaking(command, caller, send=self._send_audio)
            self._speech = self._work(partial(self._speak, self._speaking))
        self._speaking.add(command.text, end=command.end)

    async def _speak(self, speaking: Speaking) -> None:
        try:
            await speaking.run()
        except (ApiError, StorageUnavailable) as error:
            self._discarded = speaking.answer
            refusal = error if isinstance(error, ApiError) else storage_error(error)
            await self.refuse(refusal, "", answer=speaking.answer)
            await self.reply(speaking.discarded("failed"))
        finally:
            if self._speaking is speaking:
                self._speaking = None

    async def _interrupt(self, reason: str) -> None:
        """Discard the sentences that wait, and report how far the answer came."""
        speaking, task = self._speaking, self._speech
        if speaking is None or task is None:
            return
        self._speaking, self._discarded = None, speaking.answer
        task.cancel()
        await asyncio.wait([task])
        await self.reply(speaking.discarded(reason))

    async def _send_audio(self, fields: dict[str, Any], audio: bytes) -> None:
        await self.reply(fields)
        if audio:
            # As in `send_text`: the client may have left.
            with suppress(OSError):
                await self.send(bytes_data=audio)

    def _work(self, work: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        task = self.spawn(self.guarded(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def _close_when_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._active_at + IDLE_SECONDS - loop.time()) > 0:
            await asyncio.sleep(left)
            if any(each is not None and each.is_at_work for each in (self._listening, self._speaking)):
                self._active_at = loop.time()
        error = f"No message was received for {IDLE_SECONDS:g} s. Open another socket when you need it."
        await self.shut(ApiError(408, "idle", error), DROPPED)
