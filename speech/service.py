"""The speech service: it selects a provider, sends the request, and converts the answer. It does not use Django."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeVar

import msgspec

from speech.audio.detection import kind_of
from speech.audio.limits import Limits
from speech.audio.streams import converted, started, time_limited, took_too_long
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
from speech.worker.protocol import AudioPiece, Check, Checked

Result = TypeVar("Result")

# Errors of the request that another provider may accept.
PROVIDER_SPECIFIC: Final = frozenset({"unknown_language"})


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    """A transcribed recording. `duration` is in seconds; `cost_usd` is None if unknown; `note` is for the caller."""

    text: str
    language: str | None
    duration: float | None
    segments: tuple[Segment, ...]
    provider: str
    model: str
    cost_usd: float | None
    note: str | None


class Synthesis(msgspec.Struct, frozen=True, kw_only=True):
    """A synthesis whose first bytes have arrived. `audio` raises `SpeechError` if the rest fails."""

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
    """The speech service of a process.

    `checkers` decode audio before it is sent to a vendor. `priced` names the providers with known prices. `disabled` is
    the reason why speech is off, or empty.
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

    async def transcribe(self, request: TranscriptionRequest, budget: Budget = OPEN) -> Transcription:
        """Transcribe a recording. Raises `SpeechError`."""
        self.check_enabled()
        size, limit = len(request.audio), self.limits.max_audio_bytes
        if size > limit:
            raise SpeechError(
                f"The audio has {size} bytes (at most {limit}, SPEECH_MAX_AUDIO_BYTES). Send it in parts.",
                code="audio_too_large",
            )
        kind = kind_of(request.audio, request.declared_kind)
        return await self._ask_in_turn(
            "transcription",
            request.provider,
            lambda provider, choice: self._transcribe(provider, choice, request, kind, budget),
        )

    async def synthesize(self, request: SynthesisRequest, budget: Budget = OPEN) -> Synthesis:
        """Start a synthesis, and return it when its audio begins. Raises `SpeechError`."""
        self.check_enabled()
        format_ = request.check(self.limits.max_characters)
        return await self._ask_in_turn(
            "synthesis",
            request.provider,
            lambda provider, choice: self._synthesize(provider, choice, request, format_, budget),
        )

    def check_enabled(self) -> None:
        """Check that speech is enabled. Raises `SpeechError` (`disabled`)."""
        if self.disabled:
            raise SpeechError(f"Speech is disabled: {self.disabled}.", code="disabled")

    def providers_for(self, name: str | None) -> tuple[str, ...]:
        """Return the providers that a request may reach, if it names this provider or none."""
        if name:
            return (name,)
        providers = self.providers
        return tuple(other for other in providers.names if not providers.missing(other)) or (providers.default,)

    async def _ask_in_turn(
        self, part: Part, name: str | None, ask: Callable[[Provider, Choice], Awaitable[Result]]
    ) -> Result:
        """Return the first result: from the named provider only, or from each configured one in turn."""
        default = self.providers.default
        missing = self.providers.missing(default) if default in self.providers.names else ""
        providers = (self.providers.get(name, part),) if name else self.providers.candidates(part)
        failures: list[SpeechError] = []
        for provider in providers:
            choice = Choice(provider, self.providers, self.defaults, named=bool(name))
            reasons = [f"{default} is not configured ({missing})"] if missing else []
            reasons += [str(failure) for failure in failures]
            if reasons and not name:
                choice.notes += [*reasons, f"{provider.name} served"]
            try:
                return await ask(provider, choice)
            except SpeechError as error:
                failures.append(_by(provider, error))
                if name or not (error.others_may_succeed or error.code in PROVIDER_SPECIFIC):
                    raise failures[-1] from error
        if len(failures) == 1:
            raise failures[0]
        raise SpeechError(
            " ".join(f"{failure}." for failure in failures).replace("..", "."),
            code=failures[0].code,
            retryable=any(failure.retryable for failure in failures),
        )

    async def _transcribe(
        self, provider: Provider, choice: Choice, request: TranscriptionRequest, kind: AudioKind, budget: Budget
    ) -> Transcription:
        model = choice.model(request.model, "transcription")
        language = choice.language(request.language)
        try:
            async with asyncio.timeout(self.limits.max_seconds):
                recording = await self._recording(provider, request.audio, kind, model, language)
                async with paid(budget, self._cost_of_seconds(provider, model, recording.seconds)):
                    transcript = await provider.transcribe(recording)
        except TimeoutError:
            raise took_too_long(self.limits.max_seconds) from None
        seconds = recording.seconds if recording.seconds is not None else transcript.seconds
        return Transcription(
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
        """Check a recording, and split it if the provider needs pieces."""
        # A recording is decoded before it is sent to a vendor. A truncated or overlong one costs nothing then, and its
        # length gives the price for the budget.
        seconds: float | None = None
        pieces: list[Piece] = []
        if not provider.measures_audio:
            task = Check(
                audio=audio,
                kind=kind,
                max_seconds=self.limits.max_audio_seconds,
                piece_seconds=provider.piece_seconds(kind, len(audio)),
            )
            async with aclosing(self._checkers.run(task)) as answers:
                async for answer in answers:
                    if isinstance(answer, AudioPiece):
                        pieces.append(Piece(audio=answer.audio, start=answer.start, seconds=answer.seconds))
                    elif isinstance(answer, Checked):
                        seconds = answer.seconds
        return Recording(audio=audio, kind=kind, seconds=seconds, model=model, language=language, pieces=tuple(pieces))

    async def _synthesize(
        self, provider: Provider, choice: Choice, request: SynthesisRequest, format_: AudioFormat, budget: Budget
    ) -> Synthesis:
        model = choice.model(request.model, "synthesis")
        voice = choice.voice(request.voice, model)
        model = provider.model_of(voice, model)
        utterance = Utterance(
            pieces=split_text(request.text, provider.max_characters),
            model=model,
            voice=voice,
            format=format_,
            speed=request.speed,
            whole=request.whole,
        )
        cost_usd = self._cost(provider, price_of_text(provider.name, model, len(request.text)))
        async with paid(budget, cost_usd):
            audio = await started(time_limited(_provider_audio(provider, utterance), self.limits.max_seconds))
        return Synthesis(
            audio=_with_provider_name(provider, audio),
            format=format_,
            mime=MEDIA_TYPES[format_],
            provider=provider.name,
            model=model,
            voice=voice,
            characters=len(request.text),
            cost_usd=cost_usd,
            note=_note(choice),
        )

    def _cost_of_seconds(self, provider: Provider, model: str, seconds: float | None) -> float | None:
        return self._cost(provider, price_of_seconds(provider.name, model, seconds))

    def _cost(self, provider: Provider, price: float | None) -> float | None:
        # The local models are free. The price of a compatible service that is not the vendor's own is unknown.
        if not provider.leaves_machine:
            return 0.0
        return price if provider.name in self._priced else None


def _provider_audio(provider: Provider, utterance: Utterance) -> AsyncGenerator[bytes]:
    """Return the audio as the provider makes it, or converted from its samples."""
    low, high = provider.speeds(utterance.model)
    own = min(max(utterance.speed, low), high)
    one_piece = len(utterance.pieces) == 1
    if one_piece and own == utterance.speed and utterance.format in provider.formats:
        return provider.synthesize(utterance)
    # Files of several pieces cannot be joined, but samples can. Samples also take any speed and any format.
    samples = provider.synthesize(msgspec.structs.replace(utterance, format="pcm", speed=own))
    return converted(samples, utterance.format, utterance.speed / own, whole=utterance.whole)


async def _with_provider_name(provider: Provider, audio: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the stream, and name the provider in its failure."""
    try:
        async with aclosing(audio):
            async for piece in audio:
                yield piece
    except SpeechError as error:
        raise _by(provider, error) from error


def _by(provider: Provider, error: SpeechError) -> SpeechError:
    """Return the error with the name of the provider if the provider failed."""
    if not error.others_may_succeed or error.provider:
        return error
    return SpeechError(
        str(error),
        code=error.code,
        retryable=error.retryable,
        provider=provider.name,
        retry_after=error.retry_after,
    )


def _note(choice: Choice) -> str | None:
    return "; ".join(choice.notes) or None
