"""The service's own fields of a message, which it needs back as they came when the message is replayed."""

from typing import Any, Final

from chat.engine.messages import AssistantMessage, ProviderParts
from chat.engine.text import whole_text

PROVIDER: Final = "openai"

Json = dict[str, Any]


class OwnFields:
    """The fields of one answer while its pieces arrive."""

    def __init__(self) -> None:
        self._fields: Json = {}

    def __bool__(self) -> bool:
        return bool(self._fields)

    def add(self, name: str, piece: Any) -> None:
        """Add a piece of a field. Texts and lists are appended to the field; other values replace it."""
        before: Any = self._fields.get(name)
        continues = (isinstance(before, str) and isinstance(piece, str)) or (
            isinstance(before, list) and isinstance(piece, list)
        )
        self._fields[name] = before + piece if continues else piece

    def parts(self, model: str, calls: dict[str, Json], reasoning: str) -> ProviderParts | None:
        """Return the fields of the message and of its `calls`, by their ids; None if there are none."""
        extras = {call_id: fields for call_id, fields in calls.items() if fields}
        if not (self._fields or extras or reasoning):
            return None
        data = {"fields": _stored(self._fields), "calls": _stored(extras)}
        return ProviderParts(provider=PROVIDER, model=model, data=data, reasoning=reasoning)


def own_fields(message: AssistantMessage, model: str) -> tuple[Json, dict[str, Json]]:
    """Return the fields of a message, and those of its calls by their ids; none if another model wrote it."""
    parts = message.provider_parts
    if parts is None or (parts.provider, parts.model) != (PROVIDER, model):
        return {}, {}
    return parts.data["fields"], parts.data["calls"]


def _stored(value: Any) -> Any:
    """Return JSON data with texts that can be stored."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_stored(item) for item in value]
    if isinstance(value, dict):
        return {whole_text(name): _stored(item) for name, item in value.items()}
    return value
