"""The reader of llama.cpp's chunks. It passes text on as bytes.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, `/v1/chat/completions`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from chat.engine.model_port import ErrorCode, Finished, ProviderError, TokensUsed
from chat.engine.text import whole_text

REFUSALS: Final[Mapping[str, tuple[ErrorCode, bool]]] = {
    "exceed_context_size_error": ("context_too_long", False),
    "invalid_request_error": ("provider_rejected", False),
}
REASONS: Final[Mapping[str, Literal["stop", "length"]]] = {"stop": "stop", "length": "length"}


class _Delta(msgspec.Struct, frozen=True):
    content: msgspec.Raw = msgspec.Raw()


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int = 0


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _InputDetails = _InputDetails()


class _Failure(msgspec.Struct, frozen=True):
    message: str = ""
    type: str = ""


class _Chunk(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Failure | None = None


_decode = msgspec.json.Decoder(_Chunk | list[_Chunk]).decode


class Reader:
    """One answer, chunk by chunk. A failure is raised at its end, after the text before it."""

    def __init__(self) -> None:
        self.done = False
        self._pieces: list[bytes] = []
        self._usage: _Usage | None = None
        self._reason: str | None = None
        self._error: ProviderError | None = None

    def take(self, item: bytes | Exception | None) -> None:
        """Read the bytes of a chunk, or the exception of the generating thread, or None for its end."""
        if item is None:
            self.done = True
        elif isinstance(item, Exception):
            self._error = ProviderError(f"llama.cpp: {item}", code="provider_rejected", retryable=False)
        else:
            try:
                decoded = _decode(item)
            except msgspec.DecodeError:
                self._error = _broken()
                return
            for chunk in decoded if isinstance(decoded, list) else [decoded]:
                self._read(chunk)

    def new_pieces(self) -> tuple[bytes, ...]:
        """Return the text since the last call."""
        pieces, self._pieces = tuple(self._pieces), []
        return pieces

    def end(self) -> Iterator[TokensUsed | Finished]:
        """Yield the last events of the stream. Raise `ProviderError` if the answer is incomplete."""
        if self._error:
            raise self._error
        if self._usage:
            yield TokensUsed(
                input_tokens=self._usage.prompt_tokens,
                output_tokens=self._usage.completion_tokens,
                cached_tokens=self._usage.prompt_tokens_details.cached_tokens,
            )
        reason = REASONS.get(self._reason or "")
        if reason is None:
            raise _broken()
        yield Finished(reason=reason)

    def _read(self, chunk: _Chunk) -> None:
        self._usage = chunk.usage or self._usage
        if chunk.error:
            code, retryable = REFUSALS.get(chunk.error.type, ("provider_unavailable", True))
            self._error = ProviderError(f"llama.cpp: {chunk.error.message}", code=code, retryable=retryable)
        for choice in chunk.choices:
            self._reason = choice.finish_reason or self._reason
            literal = bytes(choice.delta.content)
            # The first chunk has null as its content, and the last one has none.
            if literal.startswith(b'"') and literal != b'""':
                if b"\\u" in literal:
                    # An escape may be NUL or half of a surrogate pair, which cannot be stored.
                    literal = msgspec.json.encode(whole_text(json.loads(literal)))
                self._pieces.append(literal[1:-1])


def _broken() -> ProviderError:
    return ProviderError("llama.cpp broke its answer off", code="provider_protocol", retryable=True)
