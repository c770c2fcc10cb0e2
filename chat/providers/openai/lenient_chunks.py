"""Chunks of any form that services send, read for their meaning: known fields in any type, unknown ones ignored."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from chat.providers.openai.calls import CallPiece

REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "thinking_blocks")
"""The fields of a message in which services send reasoning. They need them back as they came."""

MESSAGE_FIELDS: Final = (*REASONING_FIELDS, "reasoning_opaque", "extra_content", "thought_signature")
CALL_FIELDS: Final = ("extra_content", "thought_signature", "provider_specific_fields")
"""The fields of a call with a thought signature, such as Gemini's through a compatible service."""

TEXT_FIELDS: Final = ("text", "thinking", "summary", "content")
TEXT_PARTS: Final = frozenset({"text", "output_text", "refusal"})
THINKING_PARTS: Final = frozenset({"thinking", "reasoning", "reasoning_text", "summary_text"})


class Delta(msgspec.Struct, kw_only=True):
    """The content of one chunk. A `whole` message repeats any pieces before it."""

    texts: list[str] = []
    reasoning: list[str] = []
    fields: dict[str, Any] = {}
    calls: list[CallPiece] = []
    whole: bool = False

    @property
    def unseen(self) -> int:
        """The characters that are not text."""
        fields = sum(len(str(field)) for field in self.fields.values())
        return fields + sum(map(len, self.reasoning)) + sum(len(call.arguments) + len(call.name) for call in self.calls)


class LenientChunk(msgspec.Struct, kw_only=True):
    """A chunk: its deltas in order, and its finish reason, usage objects and error if it has them."""

    deltas: list[Delta] = []
    finish: str = ""
    usages: list[Any] = []
    error: Any = None


def read_chunk(value: dict[str, Any]) -> LenientChunk:
    """Return the meaning of a chunk. Raise `ValueError` if its text or its calls cannot be read."""
    chunk = LenientChunk()
    choice = _first_choice(value.get("choices"))
    if choice is not None:
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            chunk.deltas.append(_delta(delta))
        if not any(delta.texts for delta in chunk.deltas) and isinstance(choice.get("text"), str):
            chunk.deltas.append(Delta(texts=[choice["text"]]))
        if isinstance(message, dict):
            chunk.deltas.append(_delta(message, whole=True))
        finish = choice.get("finish_reason")
        chunk.finish = str(finish) if isinstance(finish, str | int) and finish else ""
        chunk.usages.append(choice.get("usage"))
    chunk.usages.append(value.get("usage"))
    if is_error(value):
        chunk.error = value.get("error") or value
    elif choice is not None:
        chunk.error = choice.get("error") or None
    return chunk


def read_content(content: Any) -> Delta:
    """Return the meaning of a content that is not a text. Raise `ValueError` if it has none."""
    delta = Delta()
    _add_content(content, delta)
    return delta


def text_of(field: Any) -> str:
    """Return the text in a field of reasoning."""
    if isinstance(field, str):
        return field
    if isinstance(field, list):
        return "".join(map(text_of, field))
    if isinstance(field, dict):
        return next((text for name in TEXT_FIELDS if (text := text_of(field.get(name)))), "")
    return ""


def _first_choice(choices: Any) -> Mapping[str, Any] | None:
    """Return the choice with index 0. One choice is requested, so others are not part of the answer."""
    if choices is None:
        return None
    found = [choices] if isinstance(choices, dict) else choices
    if not isinstance(found, list) or not all(isinstance(choice, dict) for choice in found):
        raise ValueError("`choices` is not a list of objects")
    return next((choice for choice in found if not _index(choice.get("index"))), None)


def _delta(message: Mapping[str, Any], *, whole: bool = False) -> Delta:
    fields = {name: message[name] for name in MESSAGE_FIELDS if message.get(name)}
    delta = Delta(fields=fields, calls=list(_calls(message)), whole=whole)
    for name in ("content", "refusal"):
        _add_content(message.get(name), delta)
    return delta


def _add_content(content: Any, delta: Delta) -> None:
    parts: Sequence[Any] = content if isinstance(content, list) else [content]
    for part in parts:
        if isinstance(part, str):
            delta.texts.append(part)
        elif isinstance(part, dict):
            kind = None if part.get("type") is None else str(part["type"])
            if kind in THINKING_PARTS:
                delta.reasoning.append(text_of(part))
            elif kind in TEXT_PARTS or kind is None:
                text = part.get("text") or part.get("refusal") or ""
                delta.texts.append(text if isinstance(text, str) else text_of(text))
        elif part is not None:
            raise ValueError("a piece of text is not a string")


def _calls(message: Mapping[str, Any]) -> Iterator[CallPiece]:
    calls = message.get("tool_calls") or []
    for call in calls if isinstance(calls, list) else [calls]:
        if isinstance(call, dict):
            yield _piece(call, call.get("function"))
        elif call is not None:
            raise ValueError("a tool call is not an object")
    if isinstance(legacy := message.get("function_call"), dict):
        yield _piece({}, legacy)


def _piece(call: Mapping[str, Any], function: Any) -> CallPiece:
    content: Mapping[str, Any] = function if isinstance(function, dict) else call
    call_id, name, arguments = call.get("id"), content.get("name"), content.get("arguments")
    return CallPiece(
        call_id=str(call_id) if isinstance(call_id, str | int) else "",
        index=_index(call.get("index")),
        name=name if isinstance(name, str) else "",
        # Some services send the object itself, which is its own text.
        arguments=arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments),
        extra={name: call[name] for name in CALL_FIELDS if call.get(name)},
    )


def _index(value: Any) -> int | None:
    """Return an index that may be a whole float or a text."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_error(value: dict[str, Any]) -> bool:
    """Return whether a chunk or a whole answer is an error."""
    if value.get("error") or value.get("object") == "error" or value.get("type") == "error":
        return True
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return True
    return "choices" not in value and any(value.get(name) for name in ("message", "detail", "errors", "error_msg"))
