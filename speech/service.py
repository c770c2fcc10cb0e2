"""Speech: who is asked, with what, and what is made of the answer. Everything but Django."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeVar

import msgspec

from speech.audio.detection import kind_of
from speech.audio.limits import Limits
from speech.audio.streams import begun, converted, took_too_long, within
from speech.audio.text_chunks import split_text
from speech.base import (
    MEDIA_TYPES,
    AudioFormat,
    AudioKind,
    Part,
    Piece,
    Provider,
    Recording,
    Segment,
    SpeechError,
    Utterance,
)
from speech.budget_port import OPEN, Budget, paid
from speech.pricing import price_of_seconds, price_of_text
from speech.providers.registry import SpeechProviderRegistry
from speech.requests import SynthesisRequest, TranscriptionRequest
from speech.selection import Choice, Defaults
from speech.worker.pool import WorkerPool
from speech.worker.protocol import Check, Checked, Cut

Result = TypeVar("Result")

FOR_THE_NEXT: Final = frozenset({"unknown_language"})
"""What is wrong with one provider and may be right with the next."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What was said. `duration` is in seconds; `cost_usd` is None where it is unknown; `note` is for the caller."""

    text: str
    language: str | None
    duration: float | None
    segments: tuple[Segment, ...]
    provider: str
    model: str
    cost_usd: float | None
    note: str | None


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """What is being said: its first bytes are there. `audio` raises `SpeechError` where the rest fails."""

    audio: AsyncGenerator[bytes]
    format: AudioFormat
    mime: str
    provider: str
    model: str
    voice: str
    characters: int
    cost_usd: float | None
    note: str | None


class SpeechService:
    """Speech as a process has it. `checkers` look at audio before it leaves; `priced` providers' prices are known.

    `disabled` says why all of it is off, if it is.
    """

    def __init__(
        self,
        *,
        providers: SpeechProviderRegistry,
        limits: Limits,
        checkers: WorkerPool,
        defaults: Defaults,
        priced: frozenset[str] = frozenset(),
        disabled: str = "",
    ) -> None:
        self.providers = providers
        self.limits = limits
        self.defaults = defaults
        self.disabled = disabled
        self._checkers = checkers
        self._priced = priced

    async def transcribe(self, wanted: TranscriptionRequest, budget: Budget = OPEN) -> Heard:
        """What was said. Raises `SpeechError`."""
        self.check_enabled()
        kind = self._kind(wanted)
        return await self._ask_in_turn(
            "transcription",
            wanted.provider,
            lambda provider, choice: self._transcribe(provider, choice, wanted, kind, budget),
        )

    async def synthesize(self, wanted: SynthesisRequest, budget: Budget = OPEN) -> Spoken:
        """What is being said, once it has begun. Raises `SpeechError`."""
        self.check_enabled()
        format_ = wanted.check(self.limits.max_characters)
        return await self._ask_in_turn(
            "synthesis",
            wanted.provider,
            lambda provider, choice: self._synthesize(provider, choice, wanted, format_, budget),
        )

    def check_enabled(self) -> None:
        """Raises `SpeechError` (`disabled`)."""
        if self.disabled:
            raise SpeechError(f"Speech is off: {self.disabled}.", code="disabled")

    def providers_for(self, name: str | None) -> tuple[str, ...]:
        """Who may get to hear or say it, where this provider is named, or none."""
        if name:
            return (name,)
        providers = self.providers
        return tuple(other for other in providers.names if not providers.missing(other)) or (providers.default,)

    async def _ask_in_turn(
        self, part: Part, name: str | None, ask: Callable[[Provider, Choice], Awaitable[Result]]
    ) -> Result:
        """What the first provider gives that can: the named one alone, or each that is configured."""
        providers = (self.providers.get(name, part),) if name else self.providers.candidates(part)
        failures: list[SpeechError] = []
        for provider in providers:
            choice = Choice(provider, self.providers, self.defaults, named=bool(name))
            choice.told += [] if name else self._told(provider, failures)
            try:
                return await ask(provider, choice)
            except SpeechError as error:
                failures.append(_by(provider, error))
                if name or not (error.others_may_succeed or error.code in FOR_THE_NEXT):
                    raise failures[-1] from error
        raise _together(failures)

    def _told(self, provider: Provider, failures: list[SpeechError]) -> list[str]:
        """Why it is this provider that serves."""
        default = self.providers.default
        told = [str(failure) for failure in failures]
        if default in self.providers.names and (missing := self.providers.missing(default)):
            told.insert(0, f"{default} is not configured ({missing})")
        return [*told, f"{provider.name} served"] if told else []

    def _kind(self, wanted: TranscriptionRequest) -> AudioKind:
        most = self.limits.max_audio_bytes
        if len(wanted.audio) > most:
            message = f"The audio has {len(wanted.audio)} bytes: at most {most} (SPEECH_MAX_AUDIO_BYTES) are taken."
            raise SpeechError(message, code="audio_too_large")
        return kind_of(wanted.audio, wanted.said)

    async def _transcribe(
        self, provider: Provider, choice: Choice, wanted: TranscriptionRequest, kind: AudioKind, budget: Budget
    ) -> Heard:
        model = choice.model(wanted.model, "transcription")
        language = choice.language(wanted.language)
        try:
            async with asyncio.timeout(self.limits.max_seconds):
                recording = await self._recording(provider, wanted.audio, kind, model, language)
                async with paid(budget, self._cost_of_seconds(provider, model, recording.seconds)):
                    transcript = await provider.transcribe(recording)
        except TimeoutError:
            raise took_too_long(self.limits.max_seconds) from None
        seconds = recording.seconds if recording.seconds is not None else transcript.seconds
        return Heard(
            text=transcript.text,
            language=transcript.language,
            duration=seconds,
            segments=transcript.segments,
            provider=provider.name,
            model=model,
            cost_usd=self._cost_of_seconds(provider, model, seconds),
            note=_note(choice),
        )

    async def _recording(
        self, provider: Provider, audio: bytes, kind: AudioKind, model: str, language: str | None
    ) -> Recording:
        """What leaves this machine is decoded before: it is whole, and as long as it may be."""
        seconds: float | None = None
        cut: list[Piece] = []
        if not provider.measures_audio:
            task = Check(
                audio=audio,
                kind=kind,
                max_seconds=self.limits.max_audio_seconds,
                piece_seconds=provider.piece_seconds(kind, len(audio)),
            )
            async with aclosing(self._checkers.run(task)) as answers:
                async for answer in answers:
                    if isinstance(answer, Cut):
                        cut.append(Piece(audio=answer.audio, start=answer.start, seconds=answer.seconds))
                    elif isinstance(answer, Checked):
                        seconds = answer.seconds
        return Recording(audio=audio, kind=kind, seconds=seconds, model=model, language=language, pieces=tuple(cut))

    async def _synthesize(
        self, provider: Provider, choice: Choice, wanted: SynthesisRequest, format_: AudioFormat, budget: Budget
    ) -> Spoken:
        model = choice.model(wanted.model, "synthesis")
        voice = choice.voice(wanted.voice, model)
        model = provider.model_of(voice, model)
        utterance = Utterance(
            pieces=split_text(wanted.text, provider.max_characters),
            model=model,
            voice=voice,
            format=format_,
            speed=wanted.speed,
            whole=wanted.whole,
        )
        cost_usd = self._cost(provider, price_of_text(provider.name, model, len(wanted.text)))
        async with paid(budget, cost_usd):
            audio = await begun(within(_said(provider, utterance), self.limits.max_seconds))
        return Spoken(
            audio=_naming(provider, audio),
            format=format_,
            mime=MEDIA_TYPES[format_],
            provider=provider.name,
            model=model,
            voice=voice,
            characters=len(wanted.text),
            cost_usd=cost_usd,
            note=_note(choice),
        )

    def _cost_of_seconds(self, provider: Provider, model: str, seconds: float | None) -> float | None:
        return self._cost(provider, price_of_seconds(provider.name, model, seconds))

    def _cost(self, provider: Provider, price: float | None) -> float | None:
        """What is made on this machine costs nothing; what another service than the vendor's costs is not known."""
        if not provider.leaves_machine:
            return 0.0
        return price if provider.name in self._priced else None


def _said(provider: Provider, utterance: Utterance) -> AsyncGenerator[bytes]:
    """As the provider gives it, or made of the samples that it gives."""
    low, high = provider.speeds(utterance.model)
    own = min(max(utterance.speed, low), high)
    one_piece = len(utterance.pieces) == 1
    if one_piece and own == utterance.speed and utterance.format in provider.formats:
        return provider.synthesize(utterance)
    samples = provider.synthesize(msgspec.structs.replace(utterance, format="pcm", speed=own))
    return converted(samples, utterance.format, utterance.speed / own, whole=utterance.whole)


async def _naming(provider: Provider, audio: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The stream, whose failure says whose it is."""
    try:
        async with aclosing(audio):
            async for piece in audio:
                yield piece
    except SpeechError as error:
        raise _by(provider, error) from error


def _by(provider: Provider, error: SpeechError) -> SpeechError:
    """The error with the name of the provider, where it is the provider's."""
    if not error.others_may_succeed or error.provider:
        return error
    return SpeechError(
        str(error),
        code=error.code,
        retryable=error.retryable,
        provider=provider.name,
        retry_after=error.retry_after,
    )


def _together(failures: list[SpeechError]) -> SpeechError:
    if len(failures) == 1:
        return failures[0]
    return SpeechError(
        " ".join(f"{failure}." for failure in failures).replace("..", "."),
        code=failures[0].code,
        retryable=any(failure.retryable for failure in failures),
    )


def _note(choice: Choice) -> str | None:
    return "; ".join(choice.told) or None
