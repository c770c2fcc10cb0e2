"""The content of the demo's week, read from `week.toml`. `ContentInvalid`: the file is not as this module says."""

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

WEEK: Final = Path(__file__).parent / "week.toml"


class ContentInvalid(ValueError):
    """The file names a key or a model that it does not define, or has another form."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user of the console, and the group that the user is in."""

    name: str
    group: str


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key; without a user, it owns what it makes."""

    name: str
    scopes: tuple[str, ...]
    user: str = ""
    rate: str = ""
    budgets: tuple[str, ...] = ()
    max_runs: int | None = None


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model, as `provider/model`, with its prices in USD for a million tokens and its speed."""

    name: str
    input: float
    output: float
    words_per_second: float


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of a tool, after a text of the model; it fails if it has a `code`.

    `approval` is empty, `approved`, `denied` or `waiting`, decided `by` a user with a `note`.
    """

    tool: str
    params: dict[str, Any]
    say: str = ""
    data: dict[str, Any] | None = None
    output: str = ""
    error: str = ""
    code: str = ""
    seconds: float = 0.0
    approval: str = ""
    by: str = ""
    note: str = ""


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run: the user's text, the steps, the answer, and how it ended.

    `end` is a reason, `failed` (with `code` and `error`) or `waiting`. Before a `summary`, the conversation was
    compacted. A `structured` answer is JSON.
    """

    user: str
    steps: tuple[Step, ...] = ()
    answer: str = ""
    reasoning: str = ""
    end: str = "completed"
    code: str = ""
    error: str = ""
    retries: int = 0
    image: bool = False
    structured: bool = False
    summary: str = ""


class Conversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation, planned once for each variant. With `now`, it took place in the last hour,
    with an `hour` always at that time of the day.
    """

    title: str
    key: str
    model: str
    turns: tuple[Turn, ...]
    variants: tuple[dict[str, str], ...]
    user: str = ""
    archived: bool = False
    now: bool = False
    hour: int | None = None


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    people: tuple[Person, ...]
    keys: tuple[Key, ...]
    models: tuple[Model, ...]
    conversations: tuple[Conversation, ...]


def load(text: str | None = None) -> Content:
    """Return the content of a TOML text, by default of `week.toml`. Raises `ContentInvalid`."""
    try:
        content = msgspec.convert(tomllib.loads(WEEK.read_text() if text is None else text), Content)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ContentInvalid(str(error)) from None
    keys, models = {key.name for key in content.keys}, {model.name for model in content.models}
    for one in content.conversations:
        if one.key not in keys or one.model not in models:
            raise ContentInvalid(f"{one.title}: there is no key {one.key} or no model {one.model}.")
    return content


def filled(conversation: Conversation, variant: dict[str, str]) -> Conversation:
    """Return the conversation with the values of a variant in all of its texts."""
    values = {f"{{{name}}}": value for name, value in variant.items()}

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            for name, text in values.items():
                value = value.replace(name, text)
            return value
        if isinstance(value, dict):
            return {fill(name): fill(item) for name, item in value.items()}
        return [fill(item) for item in value] if isinstance(value, list | tuple) else value

    named = {"user": variant["user"]} if "user" in variant and not conversation.user else {}
    raw = msgspec.to_builtins(conversation) | {"variants": []} | named
    return msgspec.convert(fill(raw), Conversation)
