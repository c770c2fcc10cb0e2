"""`speech.transcribe` and `speech.synthesize`: speech to text and text to speech, in params or in the workspace."""

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
from tools.workspace.naming import implied_paths, stated_paths

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
"""Returns the budget that a call of a payer is paid from."""

BREAKS: Final = str.maketrans("", "", " \t\r\n")
"""Removes the white space that breaks base64 into lines."""

ProviderName = Annotated[
    str | None,
    msgspec.Meta(description="openai, google or local; by default the service's default, or the next that can do it."),
]
ModelName = Annotated[str | None, msgspec.Meta(description="A model of that provider.")]


class TranscribeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a recording; times are in seconds. `note` names a substitute for a requested model or voice."""

    text: str
    language: str | None
    duration: float | None
    segments: tuple[Segment, ...]
    provider: str
    model: str
    cost_usd: float | None
    note: str | None


class SynthesizeResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The audio, or the path of the file with the audio. `size` is in bytes."""

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
    path: Annotated[str | None, msgspec.Meta(description="The recording's path in the workspace.")] = None,
    provider: ProviderName = None,
    language: Annotated[
        str | None, msgspec.Meta(description="Such as 'en' or 'en-GB'; by default it is detected, if the model can.")
    ] = None,
    model: ModelName = None,
    format: Annotated[  # noqa: A002 - the param's name in the protocol
        str | None, msgspec.Meta(description="Format of the audio: needed only for raw samples, which are 'pcm'.")
    ] = None,
) -> TranscribeResult:
    """Transcribe the speech in a recording.

    Takes WAV, MP3, FLAC, Ogg, AAC, WebM, MP4, AMR, AIFF and more, as `audio_base64` or from a `path` of the workspace.
    The text is empty if there is no speech. `segments` have times in seconds if the model returns them.
    """
    audio = await _recording(service, workspace, audio_base64, path)
    request = TranscriptionRequest(audio=audio, provider=provider, language=language, model=model, format=format)
    transcript = await _with_tool_errors(service.transcribe(request, budget_of(execution.payer)))
    return msgspec.convert(transcript, TranscribeResult, from_attributes=True)


async def synthesize(
    service: SpeechService,
    workspace: Workspace,
    budget_of: BudgetOf,
    execution: Execution,
    /,
    *,
    text: Annotated[str, msgspec.Meta(description="The text to speak.")],
    provider: ProviderName = None,
    voice: Annotated[str | None, msgspec.Meta(description="A voice of that provider.")] = None,
    format: Annotated[  # noqa: A002 - the param's name in the protocol
        str, msgspec.Meta(description=f"One of {', '.join(FORMATS)}; pcm is 16 bits, 24 kHz, one channel.")
    ] = "mp3",
    speed: Annotated[float, msgspec.Meta(description="0.25 to 4; 1 is the voice's own speed.")] = 1.0,
    model: ModelName = None,
    path: Annotated[
        str | None,
        msgspec.Meta(description="A path in the workspace: the audio is written there, and not returned."),
    ] = None,
) -> SynthesizeResult:
    """Speak a text: return the audio as `audio_base64`, or write it to a `path` of the workspace.

    Give a path for anything longer than a few sentences.
    """
    max_bytes = workspace.limits.max_write_bytes if path else service.limits.max_result_bytes
    request = SynthesisRequest(
        text=text, provider=provider, voice=voice, format=format, speed=speed, model=model, whole=True
    )
    spoken = await _with_tool_errors(service.synthesize(request, budget_of(execution.payer)))
    audio = await _with_tool_errors(_collect(spoken.audio, max_bytes))
    place: dict[str, Any] = {}
    if path:
        deadline = Deadline(workspace.limits.max_seconds)
        change = Change(path=path, data=audio)
        (changed,) = await in_thread(lambda: workspace.apply((change,), deadline), deadline)
        place["path"] = changed.path
    else:
        place["audio_base64"] = base64.b64encode(audio).decode()
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
    """Return the speech tools of a service and a workspace.

    If a vendor's provider is configured, their effect is `network`. If only local models are configured, they `read`
    and `write`. The facet `provider` names each provider that a call may reach, and not only the requested one.
    """

    def facets(params: Any) -> Facets:
        # With failover several providers may get the call. An `allow` must cover all of them, so
        # `allow speech.* provider=local` passes only calls that cannot leave the machine.
        path = {} if params.path is None else {"path": stated_paths(workspace, (params.path,))}
        return {**plain_facets(params), **path, "provider": service.providers_for(params.provider)}

    def implied(params: Any) -> Facets:
        return {} if params.path is None else {"path": implied_paths(workspace, (params.path,))}

    # Any call may name a vendor's provider, and the default one may fail over to it.
    reaches_out = service.providers.reaches_out
    reads: Effect = "network" if reaches_out else "read"
    writes: Effect = "network" if reaches_out else "write"
    given: dict[str, Any] = {
        "confinement": workspace.confinement,
        "disabled": service.disabled,
        "facets": facets,
        "implied": implied,
        "foreign": workspace.foreign.overlaps,
    }

    def made(name: str, effect: Effect, function: Callable[..., Awaitable[Any]], file_tool: str) -> Tool:
        def needs(params: Any) -> tuple[str, ...]:
            return () if params.path is None else (file_tool,)

        return tool(name, effect, function, service, workspace, budget_of, **given, files=(file_tool,), needs=needs)

    return (
        made("speech.transcribe", reads, transcribe, "fs.read"),
        made("speech.synthesize", writes, synthesize, "fs.write"),
    )


async def _recording(service: SpeechService, workspace: Workspace, audio_base64: str | None, path: str | None) -> bytes:
    """Return the bytes of the recording. Raises `ToolError`."""
    if (audio_base64 is None) == (path is None):
        raise ToolError("Give either audio_base64 or path.", code="invalid_params")
    if audio_base64 is None:
        max_bytes = service.limits.max_audio_bytes
        deadline = Deadline(workspace.limits.max_seconds)
        return await in_thread(lambda: workspace.read_bytes(str(path), max_bytes), deadline)
    try:
        return binascii.a2b_base64(audio_base64.translate(BREAKS).encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ToolError(
            f"audio_base64 is not base64 ({error}): give the bytes in the standard alphabet, padded.",
            code="invalid_params",
        ) from None


async def _collect(audio: AsyncGenerator[bytes], max_bytes: int) -> bytes:
    """Return all of the audio. Raises `SpeechError` (`audio_too_large`)."""
    whole = bytearray()
    async with aclosing(audio):
        async for piece in audio:
            whole += piece
            if len(whole) > max_bytes:
                raise SpeechError(
                    f"The audio is larger than {max_bytes} bytes: speak less at once, choose mp3 or opus, or give a "
                    "path.",
                    code="audio_too_large",
                )
    return bytes(whole)


async def _with_tool_errors(work: Awaitable[Result]) -> Result:
    """Return the result of the work. Raises `ToolError` in the place of `SpeechError`."""
    try:
        return await work
    except SpeechError as error:
        default: ToolErrorCode = "failed" if error.provider else "invalid_params"
        raise ToolError(str(error), code=CODES.get(error.code, default)) from error
