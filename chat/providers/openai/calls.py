"""The tool calls of one answer while their pieces arrive."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from chat.engine.messages import ToolCall
from chat.engine.text import whole_text
from chat.providers.base import new_call_id, tool_name

MAX_CALLS: Final = 128
"""Tool calls of one answer. A service that sends more is broken."""


class CallPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a call. `extra` has the fields that the service needs back with the call."""

    call_id: str = ""
    index: int | None = None
    name: str = ""
    arguments: str = ""
    extra: dict[str, Any] = {}


class _Call:
    def __init__(self, index: int | None) -> None:
        self.index = index
        self.call_id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.extra: dict[str, Any] = {}

    @property
    def text(self) -> str:
        return "".join(self.arguments)


class Calls:
    """Joins pieces to calls. `names` has the registry's name of each tool by its wire name."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.extras: dict[str, dict[str, Any]] = {}
        self._names = names
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: CallPiece) -> None:
        """Add a piece to its call. Raise `ValueError` if there are too many calls."""
        call = self._call_of(piece)
        if call is None:
            if len(self._calls) == MAX_CALLS:
                raise ValueError(f"more than {MAX_CALLS} tool calls")
            call = _Call(piece.index)
            self._calls.append(call)
        call.call_id = call.call_id or piece.call_id
        call.name = _joined(call.name, piece.name)
        # Some services send the whole call once more at its end.
        if not (piece.name and piece.arguments == call.text and _is_json(call.text)):
            call.arguments.append(piece.arguments)
        call.extra |= piece.extra

    def whole(self) -> list[ToolCall]:
        """Return the calls, each with an id of its own; `extras` then has their other fields by these ids."""
        found: list[ToolCall] = []
        for call in self._calls:
            call_id = whole_text(call.call_id)
            if not call_id or call_id in self.extras:
                call_id = new_call_id()
            self.extras[call_id] = call.extra
            name = tool_name(whole_text(call.name), self._names)
            found.append(ToolCall(call_id=call_id, name=name, arguments=whole_text(call.text) or "{}"))
        return found

    def _call_of(self, piece: CallPiece) -> _Call | None:
        """Return the call that the piece continues: by its id, then its index, otherwise the last one."""
        known = [call for call in self._calls if piece.index is None or call.index in {None, piece.index}]
        if piece.call_id:
            # At another index, an id that is not unique is a call of its own.
            if same := [call for call in known if call.call_id == piece.call_id]:
                return None if _are_two(same[-1].text, piece) else same[-1]
            # Some services give each piece of a call a new id, so only a piece with a name opens a call.
            if piece.name:
                return next((call for call in known[-1:] if not call.call_id and not call.name), None)
        if not piece.name:
            known = known or self._calls
        call = known[-1] if known else None
        return None if call and piece.name and self._opens_another(call, piece) else call

    def _opens_another(self, call: _Call, piece: CallPiece) -> bool:
        """Return whether a piece with a name and without an id is a new call, and not the next piece of its name."""
        if call.text.strip():
            return piece.name != call.name or (bool(piece.arguments.strip()) and _is_json(call.text))
        joined = _joined(call.name, piece.name)
        return call.name in self._names and piece.name != call.name and joined not in self._names


def _are_two(arguments: str, piece: CallPiece) -> bool:
    """Return whether a call and a piece with its id are both whole: two calls to which the service gave one id."""
    whole = bool(piece.name) and piece.arguments != arguments
    return whole and _is_json(arguments) and _is_json(piece.arguments)


def _joined(name: str, piece: str) -> str:
    """Return a name with its next piece. Some services repeat the name, or the part so far, in each piece."""
    return piece if piece.startswith(name) else name + piece


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
