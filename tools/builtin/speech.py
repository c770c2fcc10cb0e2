"""`speech.transcribe` and `speech.synthesize`: recordings to text and text to audio, in params or in the workspace."""

import base64
import binascii
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Final, TypeVar

import msgspec

from speech.base import FORMATS, MEDIA_TYPES, ErrorCode, Segment, SpeechError
from speech.budget_port import Budget
from speech.requests import SynthesisRequest, TranscriptionRequest
from speech.service import SpeechService
from spending.accounts import Payer
from tools.base import Effect, Execution, Facets, Tool, ToolError, ToolErrorCode, plain_facets, tool
from tools.workspace import Change, Deadline, Workspace, in_thread

Result = TypeVar("Result")

CODES: Final[Mapping[ErrorCode, ToolErrorCode]] = {
    "disabled": "disabled",
    "budget_exceeded": "denied",
    "price_unknown": "denied",
    "provider_not_configured": "disabled",
    "text_too_long": "too_large",
    "audio_too_long": "too_large",
    "audio_too_large": "too_large",
    "provider_timeout": "timed_out",
}
BudgetOf = Callable[[Payer], Budget]
"""What a call is paid from, for whoever pays."""

BREAKS: Final = str.maketrans("", "", " \t\r\n")
"""What base64 is broken into lines with."""

ProviderName = Annotated[
    str | None,
    msgspec.Meta(description="openai, google or local; without it the default one, or the next that can."),
]
ModelName = Annotated[str | None, msgspec.Meta(description="A model of that provider.")]


class TranscribeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was said; times are in seconds. `note` says what else than asked for was used, and why."""

    text: str
    language: str | None
    duration: float | None
    segments: tuple[Segment, ...]
    provider: str
    model: str
    cost_usd: float | None
    note: str | None


class SynthesizeResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The audio, or the path of the file that holds it. `size` is in bytes."""

    audio_base64: str | None = None
    path: str | None = None
    format: str
    mime: str
    size: int
    sha256: str
    provider: str
    voice: str
    model: str
    characters: int
    cost_usd: float | None
    note: str | None


async def transcribe(
    service: SpeechService,
    workspace: Workspace,
    budget_of: BudgetOf,
    execution: Execution,
    /,
    *,
    audio_base64: Annotated[str | None, msgspec.Meta(description="The recording, as base64.")] = None,
    path: Annotated[str | None, msgspec.Meta(description="Or its path in the workspace.")] = None,
    provider: ProviderName = None,
    language: Annotated[
        str | None, msgspec.Meta(description="Such as 'en' or 'en-GB'; without it, it is recognised where that can be.")
    ] = None,
    model: ModelName = None,
    format: Annotated[  # noqa: A002 - the param's name in the protocol
        str | None, msgspec.Meta(description="What the audio is: needed for bare samples alone, which are 'pcm'.")
    ] = None,
) -> TranscribeResult:
    """Writes down what is said in a recording.

    Takes WAV, MP3, FLAC, Ogg (Opus or Vorbis), AAC, WebM and MP4, as `audio_base64` or from a `path` of the workspace.
    The text is empty where nobody speaks. `segments` have their times in seconds, where the model tells them.
    """
    audio = await _recording(service, workspace, audio_base64, path)
    wanted = TranscriptionRequest(audio=audio, provider=provider, language=language, model=model, format=format)
    heard = await _telling(service.transcribe(wanted, budget_of(execution.payer)))
    return msgspec.convert(heard, TranscribeResult, from_attributes=True)


async def synthesize(
    service: SpeechService,
    workspace: Workspace,
    budget_of: BudgetOf,
    execution: Execution,
    /,
    *,
    text: Annotated[str, msgspec.Meta(description="What to say.")],
    provider: ProviderName = None,
    voice: Annotated[str | None, msgspec.Meta(description="A voice of that provider.")] = None,
    format: Annotated[  # noqa: A002 - the param's name in the protocol
        str, msgspec.Meta(description=f"One of {', '.join(FORMATS)}; pcm is 16 bits, 24 kHz, one channel.")
    ] = "mp3",
    speed: Annotated[float, msgspec.Meta(description="0.25 to 4; 1 is as the voice speaks.")] = 1.0,
    model: ModelName = None,
    path: Annotated[
        str | None,
        msgspec.Meta(description="Where in the workspace to write the audio, in the place of giving it back."),
    ] = None,
) -> SynthesizeResult:
    """Says a text: gives the audio as `audio_base64`, or writes it to a `path` of the workspace.

    Give a path for anything longer than a few sentences.
    """
    most = workspace.limits.max_write_bytes if path else service.limits.max_result_bytes
    wanted = SynthesisRequest(
        text=text, provider=provider, voice=voice, format=format, speed=speed, model=model, whole=True
    )
    spoken = await _telling(service.synthesize(wanted, budget_of(execution.payer)))
    audio = await _telling(_whole(spoken.audio, most))
    place: dict[str, Any] = (
        {"path": await _written(workspace, path, audio)} if path else {"audio_base64": base64.b64encode(audio).decode()}
    )
    return SynthesizeResult(
        **place,
        format=spoken.format,
        mime=MEDIA_TYPES[spoken.format],
        size=len(audio),
        sha256=hashlib.sha256(audio).hexdigest(),
        provider=spoken.provider,
        voice=spoken.voice,
        model=spoken.model,
        characters=spoken.characters,
        cost_usd=spoken.cost_usd,
        note=spoken.note,
    )


def tools(service: SpeechService, workspace: Workspace, budget_of: BudgetOf) -> tuple[Tool, ...]:
    """The speech tools of one service and one workspace, paid by who has them run.

    Where any provider that may be asked is a vendor's, they reach outward, and a model has to ask: a call may name that
    provider, and the default one may fail over to it. Where local models alone are configured, nothing leaves the
    machine: then one reads, and the other may write a file. Rules of a policy about `provider` look at all that may get
    to hear or say it: `allow speech.* provider=local` lets pass what can go nowhere else.
    """

    def facets(params: Any) -> Facets:
        path = {"path": [workspace.named(params.path)]} if params.path is not None else {}
        return {**plain_facets(params), **path, "provider": service.providers_for(params.provider)}

    reaches_out = service.providers.reaches_out
    reads: Effect = "network" if reaches_out else "read"
    writes: Effect = "network" if reaches_out else "write"
    given: dict[str, Any] = {"confinement": workspace.confinement, "disabled": service.disabled, "facets": facets}
    return (
        tool("speech.transcribe", reads, transcribe, service, workspace, budget_of, **given),
        tool("speech.synthesize", writes, synthesize, service, workspace, budget_of, **given),
    )


async def _recording(service: SpeechService, workspace: Workspace, audio_base64: str | None, path: str | None) -> bytes:
    """The bytes of the one that is given. Raises `ToolError`."""
    if (audio_base64 is None) == (path is None):
        raise ToolError("Give either audio_base64 or path.", code="invalid_params")
    if audio_base64 is not None:
        return _decoded(audio_base64)
    most = service.limits.max_audio_bytes
    deadline = Deadline(workspace.limits.max_seconds)
    return await in_thread(lambda: workspace.read_bytes(str(path), most), deadline)


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.translate(BREAKS).encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ToolError(
            f"audio_base64 is not base64 ({error}): give the bytes in the standard alphabet, padded, and nothing else.",
            code="invalid_params",
        ) from None


async def _whole(audio: AsyncGenerator[bytes], most: int) -> bytes:
    """All of it. Raises `SpeechError` (`audio_too_large`)."""
    whole = bytearray()
    async with aclosing(audio):
        async for piece in audio:
            whole += piece
            if len(whole) > most:
                raise SpeechError(
                    f"The audio is larger than {most} bytes: say less at once, choose mp3 or opus, or give a path.",
                    code="audio_too_large",
                )
    return bytes(whole)


async def _written(workspace: Workspace, path: str, audio: bytes) -> str:
    deadline = Deadline(workspace.limits.max_seconds)
    change = Change(path=path, data=audio)
    (changed,) = await in_thread(lambda: workspace.apply((change,), deadline), deadline)
    return changed.path


async def _telling(work: Awaitable[Result]) -> Result:
    """The result. Raises `ToolError` for what fails."""
    try:
        return await work
    except SpeechError as error:
        default: ToolErrorCode = "failed" if error.provider else "invalid_params"
        raise ToolError(str(error), code=CODES.get(error.code, default)) from error
