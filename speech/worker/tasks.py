"""What a worker does with each task: generators of answers, and of None where they can be stopped."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from speech.audio.decoding import Decoder
from speech.audio.encoding import Encoder
from speech.audio.tempo import Tempo
from speech.audio.text_chunks import split_sentences
from speech.base import Segment, SpeechError
from speech.worker.local_models import FASTEST, SLOWEST, WHISPER_RATE, load_synthesizer, load_transcriber
from speech.worker.protocol import (
    Answer,
    AudioChunk,
    AudioPiece,
    Check,
    Checked,
    Done,
    Synthesize,
    Task,
    Transcribe,
    Transcribed,
)
from speech.worker.splitting import cuts, parts

SENTENCE_CHARACTERS: Final = 300
"""A longer one is said in parts: the first is to be heard soon."""

PART_SECONDS: Final = 120
"""A longer recording is heard in parts, which bounds the memory that it takes."""

PAUSE: Final = bytes(int(24_000 * 0.15) * 2)
"""Between sentences, in samples."""


class Speaker(Protocol):
    def say(self, sentence: str, speed: float) -> bytes: ...


def answers(task: Task, threads: int) -> Iterator[Answer | None]:
    """Raises `SpeechError`."""
    if isinstance(task, Synthesize):
        spoken = split_sentences(task.text, SENTENCE_CHARACTERS)
        return speak(spoken, lambda: load_synthesizer(threads), Encoder(task.format, whole=task.whole), task.speed)
    if isinstance(task, Transcribe):
        return _listen(task, threads)
    return _check(task)


def speak(
    spoken: Iterable[str], speaker: Callable[[], Speaker], encoder: Encoder, speed: float
) -> Iterator[AudioChunk | Done]:
    """Says a sentence, and gives its audio before it begins the next. Raises `SpeechError` (`invalid_text`)."""
    own = min(max(speed, SLOWEST), FASTEST)
    tempo = Tempo(speed / own)
    heard = False
    for sentence in spoken:
        samples = speaker().say(sentence, own)
        if not samples:
            continue
        audio = encoder.add(tempo.add(PAUSE + samples if heard else samples))
        heard = True
        if audio:
            yield AudioChunk(audio)
    if not heard:
        raise SpeechError("The text has nothing that an English voice can pronounce.", code="invalid_text")
    rest = encoder.add(tempo.end()) + encoder.end()
    if rest:
        yield AudioChunk(rest)
    yield Done()


def _listen(task: Transcribe, threads: int) -> Iterator[Transcribed | None]:
    """Decodes twice: what is damaged or too long is refused before anything is recognised, which takes far longer."""
    checked, decoder = _decoder(task), _decoder(task)
    for _ in checked.blocks():
        yield None
    segments: list[Segment] = []
    for pcm, start in parts(decoder, PART_SECONDS):
        for segment in load_transcriber(threads).segments(pcm, start):
            segments.append(segment)
            yield None
    yield Transcribed(segments=tuple(segments), seconds=round(checked.seconds, 3))


def _check(task: Check) -> Iterator[AudioPiece | Checked | None]:
    decoder = _decoder(task)
    if task.piece_seconds is None:
        for _ in decoder.blocks():
            yield None
    else:
        yield from cuts(decoder, task.piece_seconds)
    yield Checked(seconds=round(decoder.seconds, 3))


def _decoder(task: Transcribe | Check) -> Decoder:
    return Decoder(task.audio, task.kind, rate=WHISPER_RATE, max_seconds=task.max_seconds)
