"""The work for each task: generators of answers. They also yield None at places where they can be stopped."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from speech.audio.decoding import Decoder
from speech.audio.encoding import Encoder
from speech.audio.tempo import Tempo
from speech.audio.text_chunks import split_sentences
from speech.base import SAMPLE_BYTES, SAMPLE_RATE, Segment, SpeechError
from speech.worker.local_models import MAX_SPEED, MIN_SPEED, WHISPER_RATE, load_synthesizer, load_transcriber
from speech.worker.protocol import (
    Answer,
    AudioChunk,
    Check,
    Checked,
    Done,
    Synthesize,
    Task,
    Transcribe,
    Transcribed,
)
from speech.worker.splitting import parts, pieces

# A longer sentence is synthesized in parts, so that the first audio arrives soon.
SENTENCE_CHARACTERS: Final = 300

# A longer recording is transcribed in parts, which bounds the memory that it needs.
PART_SECONDS: Final = 120

# Silence of 150 ms between sentences, as samples.
PAUSE: Final = bytes(int(SAMPLE_RATE * 0.15) * SAMPLE_BYTES)


class Speaker(Protocol):
    def say(self, sentence: str, speed: float) -> bytes: ...


def answers(task: Task, threads: int) -> Iterator[Answer | None]:
    """Perform a task. Raises `SpeechError`."""
    if isinstance(task, Synthesize):
        encoder = Encoder(task.format, whole=task.whole)
        sentences = split_sentences(task.text, SENTENCE_CHARACTERS)
        yield from speak(sentences, lambda: load_synthesizer(threads), encoder, task.speed)
    elif isinstance(task, Transcribe):
        yield from _transcribe(task, threads)
    else:
        decoder = _decoder(task)
        if task.piece_seconds is None:
            for _ in decoder.blocks():
                yield None
        else:
            yield from pieces(decoder, task.piece_seconds)
        yield Checked(seconds=round(decoder.seconds, 3))


def speak(
    sentences: Iterable[str], speaker: Callable[[], Speaker], encoder: Encoder, speed: float
) -> Iterator[AudioChunk | Done]:
    """Synthesize each sentence, and yield its audio before the next one. Raises `SpeechError` (`invalid_text`)."""
    # The voice sounds best at its own speeds. Only the rest of the change is made by the filter.
    own = min(max(speed, MIN_SPEED), MAX_SPEED)
    tempo = Tempo(speed / own)
    is_started = False
    for sentence in sentences:
        samples = speaker().say(sentence, own)
        if not samples:
            continue
        audio = encoder.add(tempo.add(PAUSE + samples if is_started else samples))
        is_started = True
        if audio:
            yield AudioChunk(audio)
    if not is_started:
        raise SpeechError("The text has no words that an English voice can pronounce.", code="invalid_text")
    rest = encoder.add(tempo.end()) + encoder.end()
    if rest:
        yield AudioChunk(rest)
    yield Done()


def _transcribe(task: Transcribe, threads: int) -> Iterator[Transcribed | None]:
    # The recording is decoded twice. A damaged or overlong one fails in the first pass, before the recognition, which
    # takes far longer than decoding.
    checked, decoder = _decoder(task), _decoder(task)
    for _ in checked.blocks():
        yield None
    segments: list[Segment] = []
    for pcm, start in parts(decoder, PART_SECONDS):
        for segment in load_transcriber(threads).segments(pcm, start):
            segments.append(segment)
            yield None
    yield Transcribed(segments=tuple(segments), seconds=round(checked.seconds, 3))


def _decoder(task: Transcribe | Check) -> Decoder:
    return Decoder(task.audio, task.kind, rate=WHISPER_RATE, max_seconds=task.max_seconds)
