"""The local models, in worker processes: they need no key and no network, and support only English."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Final

from speech.base import FORMATS, SPEEDS, AudioKind, Provider, Recording, SpeechError, Transcript, Utterance
from speech.languages import ENGLISH, Languages
from speech.worker.local_models import VOICE
from speech.worker.pool import WorkerPool
from speech.worker.protocol import AudioChunk, Synthesize, Transcribe, Transcribed

STT_MODEL: Final = "tiny.en"
TTS_MODEL: Final = "hibari"


class Local(Provider):
    """The local provider: Whisper tiny.en and the voice of hibari."""

    name = "local"
    transcribes = True
    synthesizes = True
    has_timestamps = True
    streams = True
    leaves_machine = False
    # The worker that transcribes a recording also checks it, so the service does not decode it before.
    measures_audio = True
    own_speeds = SPEEDS
    languages: ClassVar[Languages] = ENGLISH

    def __init__(self, workers: WorkerPool, *, max_audio_seconds: float, max_characters: int) -> None:
        self.stt_models = (STT_MODEL,)
        self.tts_models = (TTS_MODEL,)
        self.formats = FORMATS
        self.max_characters = max_characters
        self._workers = workers
        self._max_audio_seconds = max_audio_seconds

    def voices(self, model: str) -> tuple[str, ...]:
        return (VOICE,)

    def piece_seconds(self, kind: AudioKind, size: int) -> float | None:
        return None

    async def transcribe(self, recording: Recording) -> Transcript:
        task = Transcribe(audio=recording.audio, kind=recording.kind, max_seconds=self._max_audio_seconds)
        async with aclosing(self._workers.run(task)) as answers:
            async for answer in answers:
                if isinstance(answer, Transcribed):
                    text = " ".join(segment.text for segment in answer.segments)
                    return Transcript(text=text, language="en", segments=answer.segments, seconds=answer.seconds)
        raise SpeechError("the worker sent no answer", code="provider_protocol")

    async def synthesize(self, utterance: Utterance) -> AsyncGenerator[bytes]:
        task = Synthesize(
            text="\n\n".join(utterance.pieces),
            voice=utterance.voice,
            format=utterance.format,
            speed=utterance.speed,
            whole=utterance.whole,
        )
        async with aclosing(self._workers.run(task)) as answers:
            async for answer in answers:
                if isinstance(answer, AudioChunk):
                    yield answer.audio
