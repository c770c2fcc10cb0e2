"""Gemini through Google's SDK, as https://ai.google.dev/api/generate-content describes the service.

A message that the very model wrote is replayed from the parts that it came in, for Gemini 3 refuses a function call
without its thought signature (https://ai.google.dev/gemini-api/docs/thought-signatures). So calls that were made
elsewhere, and their results, are told as plain text.
"""

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, ClassVar, Final, Literal, cast

import aiohttp
import msgspec
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from google import genai
from google.genai import errors, types

from chat.engine.completion import (
    CompletionEvent,
    CompletionRequest,
    ErrorCode,
    Finished,
    ProviderError,
    Text,
    TokensUsed,
)
from chat.engine.messages import AssistantMessage, Image, Message, ProviderParts, ToolCall, ToolMessage, UserMessage
from chat.providers.base import Provider, Timeouts, wire_name, wire_names
from chat.providers.tool_text import call_text, result_text
from tools.base import ToolSpec

BASE_URL: Final = "https://generativelanguage.googleapis.com/"
API_VERSION: Final = "v1beta"
MAX_LISTED_MODELS: Final = 1000
MAX_ERROR_CHARACTERS: Final = 500

CONTEXT_TOKENS: Final = 1_048_576
"""The input limit of the Gemini 2.5 and 3 models: https://ai.google.dev/gemini-api/docs/models."""

GEMMA_CONTEXT_TOKENS: Final = 131_072
"""The context of the Gemma models that the same service offers: https://ai.google.dev/gemma/docs/core."""

Json = dict[str, Any]
Chunks = AsyncGenerator[types.GenerateContentResponse]
Reason = Literal["stop", "tool_calls", "length", "content_filter"]

FILTERED: Final = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "ESCALATION",
)
FINISHED: Final[Mapping[str, Reason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(FILTERED, "content_filter"),
}
"""https://ai.google.dev/api/generate-content#FinishReason. A reason that is not here is a failed answer."""

PLAIN_TEXT: Final = {"text"}
"""The keys of a part that is nothing but text."""

REFUSALS: Final[Mapping[int, tuple[ErrorCode, bool]]] = {
    HTTPStatus.UNAUTHORIZED: ("provider_auth", False),
    HTTPStatus.FORBIDDEN: ("provider_auth", False),
    HTTPStatus.REQUEST_TIMEOUT: ("provider_timeout", True),
    HTTPStatus.TOO_MANY_REQUESTS: ("provider_rate_limited", True),
}
MODEL: Final = re.compile(r"(?:(?:models|tunedModels)/)?[\w-]+(?:\.[\w-]+)*", re.ASCII)
"""A model's name stands in the URL's path."""

KEY_REFUSED: Final = re.compile(r"api[ _]key", re.IGNORECASE)
TOO_LONG: Final = re.compile(r"token count.*exceeds|exceeds.*number of tokens", re.IGNORECASE | re.DOTALL)
SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)s?")

UNREADABLE: Final = (ValueError, TypeError, AttributeError, LookupError)
"""What the SDK raises over an answer that is not JSON, or is JSON of another shape than it expects."""

CONNECTION: Final[ContextVar[ExitStack | None]] = ContextVar("connection", default=None)
"""Where the request that is being made leaves how to end it."""

FAILURES: Final = (errors.APIError, aiohttp.ClientError, OSError, *UNREADABLE)


def numbered_call(index: int) -> str:
    """The id of a call that Gemini gave none: `call_0` for the conversation's first."""
    return f"call_{index}"


class Gemini(Provider):
    """Google's Gemini API with an API key.

    `base_url` is Google's own where None. `new_call_id` makes the id of a function call that came without one, from the
    number of calls before it in the conversation.
    """

    name: ClassVar[str] = "gemini"
    supports_tools: ClassVar[bool] = True
    supports_images: ClassVar[bool] = True

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        default_model: str,
        timeouts: Timeouts,
        new_call_id: Callable[[int], str] = numbered_call,
    ) -> None:
        self.default_model = default_model
        self._api_key = api_key
        self._base_url = base_url or BASE_URL
        self._timeouts = timeouts
        self._new_call_id = new_call_id
        self._session: aiohttp.ClientSession | None = None
        self._client: genai.Client | None = None

    async def warm_up(self) -> None:
        self._connected()

    def _connected(self) -> genai.Client:
        if self._client is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(seconds=self._timeouts.connect), trace_configs=[_holding()], trust_env=True
            )
            self._client = genai.Client(
                vertexai=False,
                api_key=self._api_key,
                http_options=types.HttpOptions(
                    base_url=self._base_url,
                    api_version=API_VERSION,
                    aiohttp_client=self._session,
                    retry_options=types.HttpRetryOptions(attempts=1),
                ),
            )
        return self._client

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        if not MODEL.fullmatch(request.model):
            message = f"{request.model[:MAX_ERROR_CHARACTERS]!r} cannot be the name of a Gemini model"
            raise ProviderError(message, code="provider_rejected", retryable=False)
        answer = _Answer(request, self._new_call_id)
        try:
            async with aclosing(self._chunks(request)) as chunks:
                async for chunk in chunks:
                    for event in answer.read(chunk):
                        yield event
        except FAILURES as error:
            raise self._failure(error) from error
        yield answer.end()

    async def _chunks(self, request: CompletionRequest) -> Chunks:
        stream = await self._connected().aio.models.generate_content_stream(
            model=request.model,
            contents=types.Content(role="user"),  # the real ones go round the SDK's checks, see `_config`
            config=_config(request),
        )
        with ExitStack() as connection:
            async with aclosing(cast("Chunks", stream)) as chunks:
                chunk = await self._first(chunks, connection)
                while chunk is not None:
                    yield chunk
                    async with asyncio.timeout(self._timeouts.idle):
                        chunk = await anext(chunks, None)

    async def _first(self, chunks: Chunks, connection: ExitStack) -> types.GenerateContentResponse | None:
        token = CONNECTION.set(connection)
        try:
            async with asyncio.timeout(self._timeouts.first_byte):
                return await anext(chunks, None)
        finally:
            CONNECTION.reset(token)

    def context_tokens(self, model: str) -> int:
        return GEMMA_CONTEXT_TOKENS if model.startswith("gemma-") else CONTEXT_TOKENS

    async def models(self) -> tuple[str, ...]:
        """The models that generate content, the default first, at most `MAX_LISTED_MODELS`. Raises `ProviderError`."""
        try:
            async with asyncio.timeout(self._timeouts.first_byte):
                listed = await self._listed_models()
        except FAILURES as error:
            raise self._failure(error) from error
        return tuple(dict.fromkeys((self.default_model, *listed)))

    async def _listed_models(self) -> list[str]:
        pager = await self._connected().aio.models.list(config=types.ListModelsConfig(page_size=MAX_LISTED_MODELS))
        names: list[str] = []
        async for model in pager:
            if model.name and "generateContent" in (model.supported_actions or ()):
                names.append(model.name.removeprefix("models/"))
            if len(names) == MAX_LISTED_MODELS:
                break
        return names

    async def close(self) -> None:
        if self._client and self._session:
            await self._client.aio.aclose()
            self._client.close()
            await self._session.close()

    def _failure(self, error: Exception) -> ProviderError:
        match error:
            case errors.APIError():
                return _refusal(error, self._masked(str(error.message or error.status)))
            case TimeoutError():
                return ProviderError("Gemini did not answer in time", code="provider_timeout", retryable=True)
            case aiohttp.ClientPayloadError():
                return _broken("its answer was cut")
            case aiohttp.ClientError() | OSError():
                message = self._masked(f"Gemini cannot be reached: {error}")
                return ProviderError(message, code="provider_unavailable", retryable=True)
        return _broken("its answer was not what the API describes")

    def _masked(self, message: str) -> str:
        return message.replace(self._api_key, "***")[:MAX_ERROR_CHARACTERS]


class _Connector(aiohttp.TCPConnector):
    """Bounds the time to connect, which the SDK leaves open, and not the number of connections."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__(limit=0)
        self._within = aiohttp.ClientTimeout(sock_connect=seconds)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        return await super().connect(req, traces, self._within)


async def _hold(session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestEndParams) -> None:
    """Lets a stream close its response, which the SDK hides, and leaves open where its reader stops early."""
    if connection := CONNECTION.get():
        connection.callback(params.response.close)


def _holding() -> aiohttp.TraceConfig:
    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(_hold)
    return tracing


class _Answer:
    """What has come of one answer."""

    def __init__(self, request: CompletionRequest, new_call_id: Callable[[int], str]) -> None:
        self._model = request.model
        self._names = wire_names(request.tools)
        self._new_call_id = new_call_id
        self._calls_before = sum(len(m.tool_calls) for m in request.messages if isinstance(m, AssistantMessage))
        self._calls = 0
        self._parts: list[Json] = []
        self._reason: str | None = None
        self._prompt_blocked = False

    def read(self, chunk: types.GenerateContentResponse) -> Iterator[CompletionEvent]:
        if chunk.usage_metadata:
            yield _tokens_used(chunk.usage_metadata)
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            self._prompt_blocked = True
        for candidate in (chunk.candidates or ())[:1]:
            for part in (candidate.content and candidate.content.parts) or ():
                yield from self._read_part(part)
            if candidate.finish_reason:
                self._reason = candidate.finish_reason.value

    def _read_part(self, part: types.Part) -> Iterator[Text | ToolCall]:
        if part.text is not None:
            part.text = _without_lone_surrogates(part.text)
        self._keep(part)
        if part.function_call:
            yield self._tool_call(part.function_call)
        elif part.text and not part.thought:
            yield Text((msgspec.json.encode(part.text)[1:-1],))

    def _tool_call(self, call: types.FunctionCall) -> ToolCall:
        call_id = call.id or self._new_call_id(self._calls_before + self._calls)
        self._calls += 1
        name = call.name or ""
        arguments = msgspec.json.encode(call.args or {}).decode()
        return ToolCall(call_id=call_id, name=self._names.get(name, name), arguments=arguments)

    def _keep(self, part: types.Part) -> None:
        kept = part.model_dump(mode="json", by_alias=True, exclude_none=True)
        if part.thought_signature is not None:
            kept["thoughtSignature"] = base64.b64encode(part.thought_signature).decode()
        if self._parts and kept.keys() == PLAIN_TEXT == self._parts[-1].keys():
            self._parts[-1]["text"] += kept["text"]
        elif kept != {"text": ""}:
            self._parts.append(kept)

    def end(self) -> Finished:
        """What stands at the end of the stream. Raises `ProviderError` where the answer is not whole."""
        if self._prompt_blocked:
            return Finished(reason="content_filter")
        if self._reason is None:
            raise _broken("its answer was cut")
        reason = FINISHED.get(self._reason)
        if reason is None:
            raise _broken(f"it stopped for {self._reason}")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        return Finished(reason=reason, provider_parts=self._verbatim())

    def _verbatim(self) -> ProviderParts | None:
        if all(part.keys() == PLAIN_TEXT for part in self._parts):
            return None
        return ProviderParts(provider=Gemini.name, model=self._model, data=self._parts)


def _without_lone_surrogates(text: str) -> str:
    """JSON can carry half of a pair; UTF-8 and the database cannot."""
    return text.encode("utf-8", "replace").decode()


def _tokens_used(usage: types.GenerateContentResponseUsageMetadata) -> TokensUsed:
    """The running total so far. Gemini counts thoughts beside the candidates.

    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    thoughts = usage.thoughts_token_count or 0
    return TokensUsed(
        input_tokens=usage.prompt_token_count or 0,
        output_tokens=(usage.candidates_token_count or 0) + thoughts,
        cached_tokens=usage.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
    )


def _config(request: CompletionRequest) -> types.GenerateContentConfig:
    """The contents go as the body's own JSON: the SDK's checks of them cost 350 ms of CPU at 1,000 messages."""
    return types.GenerateContentConfig(
        system_instruction=request.instructions or None,
        temperature=request.temperature,
        max_output_tokens=request.max_output_tokens,
        tools=[_declarations(request.tools)] if request.tools else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
        http_options=types.HttpOptions(extra_body={"contents": _contents(request)}),
    )


def _declarations(tools: Sequence[ToolSpec]) -> types.Tool:
    return types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=wire_name(tool.name),
                description=tool.description,
                parameters_json_schema=tool.parameters,
            )
            for tool in tools
        ]
    )


def _contents(request: CompletionRequest) -> list[Json]:
    contents: list[Json] = []
    for said, results in _exchanges(request.messages):
        contents += _replayed(said, results, request.model) or _told(said, results)
    return [content for content in contents if content["parts"]]


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[UserMessage | AssistantMessage, list[ToolMessage]]]:
    """Each message of a person or a model, with the results of the calls that it made."""
    said: UserMessage | AssistantMessage = UserMessage(text="")
    results: list[ToolMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            results.append(message)
        else:
            yield said, results
            said, results = message, []
    yield said, results


def _replayed(
    said: UserMessage | AssistantMessage, results: Sequence[ToolMessage], model: str
) -> tuple[Json, Json] | None:
    """The message as the model gave it; None where it is another's, or not each call has its one result.

    Gemini refuses calls without results: https://ai.google.dev/gemini-api/docs/function-calling.
    """
    if not isinstance(said, AssistantMessage):
        return None
    own = said.provider_parts
    if own is None or (own.provider, own.model) != (Gemini.name, model):
        return None
    made = [part["functionCall"] for part in own.data if "functionCall" in part]
    calls = dict(zip((call.call_id for call in said.tool_calls), made, strict=False))
    if len(calls) != len(made) or sorted(calls) != sorted(result.call_id for result in results):
        return None
    responses = [_function_response(calls[result.call_id], result) for result in results]
    return _content("model", own.data), _content("user", responses)


def _function_response(call: Json, result: ToolMessage) -> Json:
    """https://ai.google.dev/api/caching#FunctionResponse names the keys `output` and `error`."""
    answer = {"name": call["name"], "response": {"error" if result.is_error else "output": result.content}}
    return {"functionResponse": answer | ({"id": call["id"]} if "id" in call else {})}


def _told(said: UserMessage | AssistantMessage, results: Sequence[ToolMessage]) -> tuple[Json, Json]:
    parts: list[Json] = [{"text": said.text}] if said.text else []
    if isinstance(said, UserMessage):
        role = "user"
        parts += [{"inlineData": _inline_data(image)} for image in said.images]
    else:
        role = "model"
        parts += [{"text": call_text(call)} for call in said.tool_calls]
    return _content(role, parts), _content("user", [{"text": result_text(result)} for result in results])


def _inline_data(image: Image) -> Json:
    return {"mimeType": image.media_type, "data": base64.b64encode(image.data).decode()}


def _content(role: str, parts: Sequence[Json]) -> Json:
    return {"role": role, "parts": parts}


def _broken(what: str) -> ProviderError:
    return ProviderError(f"Gemini broke off: {what}", code="provider_protocol", retryable=True)


def _refusal(error: errors.APIError, said: str) -> ProviderError:
    code, retryable = _classified(error)
    return ProviderError(
        f"Gemini answered {error.code}: {said}", code=code, retryable=retryable, retry_after=_retry_after(error)
    )


def _classified(error: errors.APIError) -> tuple[ErrorCode, bool]:
    """The code of a refusal and whether to retry: https://ai.google.dev/gemini-api/docs/troubleshooting."""
    if error.code == HTTPStatus.BAD_REQUEST and KEY_REFUSED.search(str(error.details)):
        return "provider_auth", False
    if error.code == HTTPStatus.BAD_REQUEST and TOO_LONG.search(str(error.details)):
        return "context_too_long", False
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "provider_unavailable", True
    return REFUSALS.get(error.code, ("provider_rejected", False))


class _ErrorDetail(msgspec.Struct, frozen=True):
    """https://cloud.google.com/apis/design/errors: `retryDelay` is a google.rpc.RetryInfo's, such as `34.07s`."""

    retry_delay: str = msgspec.field(name="retryDelay", default="")


class _ErrorStatus(msgspec.Struct, frozen=True):
    details: tuple[_ErrorDetail, ...] = ()


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _ErrorStatus


def _retry_after(error: errors.APIError) -> float | None:
    """Seconds, of the header or else of the body."""
    try:
        details = msgspec.convert(error.details, _ErrorBody).error.details
    except msgspec.ValidationError:
        details = ()
    for told in (error.response.headers.get("Retry-After", ""), *(detail.retry_delay for detail in details)):
        if delay := SECONDS.fullmatch(told):
            return float(delay[1])
    return None
