"""The set of tools of an MCP server: its canonical form, its hash, its differences from another, and its names.

InvalidToolSet       a server's list of tools cannot be used as a whole
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from command_line.output import as_json
from tools.output.masking import mapped
from tools.registry import collisions
from web.json_schema import InvalidSchema, compiled
from web.strict_json import MAX_DEPTH, is_too_deep

PREFIX: Final = "mcp"
FIELDS: Final = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "execution")
"""The fields of a tool that a set commits to, as the protocol names them."""

NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}")
NAME_FORM: Final = "1 to 80 letters, digits, _, - and ., and not begin with ."
MAX_TOOLS: Final = 256
MAX_SET_BYTES: Final = 2 * 2**20
MAX_SCHEMA_BYTES: Final = 64 * 2**10
MAX_DESCRIPTION_CHARS: Final = 4_096


class InvalidToolSet(ValueError):
    """A list of tools cannot be used. The message is a sentence without the server's name."""


class ToolSet(msgspec.Struct, frozen=True):
    """The tools of a server, ordered by name, each with the fields of `FIELDS` that it has."""

    tools: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """The set as canonical JSON: fields that are in another order make no difference."""
        return msgspec.json.encode(self.tools, order="sorted").decode()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def by_name(self) -> dict[str, Mapping[str, Any]]:
        return {tool["name"]: tool for tool in self.tools}


def tool_set(listed: Iterable[Mapping[str, Any]]) -> ToolSet:
    """Return the set of a list. Raises `InvalidToolSet` if it is too large, or has a name twice."""
    tools = [{field: tool[field] for field in FIELDS if tool.get(field) is not None} for tool in listed]
    if len(tools) > MAX_TOOLS:
        raise InvalidToolSet(f"It lists more than {MAX_TOOLS} tools.")
    names = [tool.get("name") for tool in tools]
    if not all(isinstance(name, str) and name for name in names):
        raise InvalidToolSet("It lists a tool without a name.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidToolSet(f"It lists the tool {visible(str(twice))[:80]!r} twice.")
    # By name, because servers list their tools in any order.
    found = ToolSet(tuple(sorted(tools, key=lambda tool: str(tool["name"]))))
    try:
        text = found.text
    except (RecursionError, ValueError, TypeError):
        raise InvalidToolSet("It lists a tool that cannot be stored as JSON.") from None
    # A set that cannot be shown to an operator cannot be accepted either.
    if is_too_deep(text, found.tools):
        raise InvalidToolSet(f"It lists a tool that is nested more than {MAX_DEPTH} levels.")
    if len(text) > MAX_SET_BYTES:
        raise InvalidToolSet(f"Its list of tools has more than {MAX_SET_BYTES} bytes.")
    return found


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of a set from an earlier one. `changed` has the changed fields of each tool.

    `renamed` has the new name of each tool that is equal except for its name.
    """

    new: tuple[str, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = {}
    renamed: Mapping[str, str] = {}
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.renamed or self.gone)


def difference(old: ToolSet, new: ToolSet) -> Difference:
    """Return the difference of a new set from an old one."""
    before, after = old.by_name, new.by_name
    gone, added = [name for name in before if name not in after], [name for name in after if name not in before]
    renamed: dict[str, str] = {}
    for name in gone:
        same = next((one for one in added if {**after[one], "name": name} == before[name]), None)
        if same is not None:
            renamed[name] = same
            added.remove(same)
    return Difference(
        new=tuple(added),
        changed={
            name: tuple(field for field in FIELDS if before[name].get(field) != after[name].get(field))
            for name in before
            if name in after and before[name] != after[name]
        },
        renamed=renamed,
        gone=tuple(name for name in gone if name not in renamed),
    )


def qualified(server: str, tool: str) -> str:
    """Return the name of a tool in scopes, policy and records."""
    return f"{PREFIX}.{server}.{tool}"


def why_unusable(tool: Mapping[str, Any]) -> str:
    """Return why a tool of a set cannot be offered; empty if it can."""
    if not NAME.fullmatch(tool["name"]):
        return f"its name must have {NAME_FORM}"
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its schema is not of type object"
    # Compiled here, so that no call fails because of a schema that an operator accepted.
    text = schema_text(tool)
    if len(text) > MAX_SCHEMA_BYTES:
        return f"its schema has more than {MAX_SCHEMA_BYTES} bytes"
    try:
        compiled(text)
    except InvalidSchema as error:
        return f"its schema cannot be used: {error}"
    return ""


def schema_text(tool: Mapping[str, Any]) -> str:
    """Return the schema of a tool's params as JSON text."""
    return msgspec.json.encode(tool["inputSchema"], order="sorted").decode()


def description(tool: Mapping[str, Any]) -> str:
    """Return the description for models, bounded and without invisible characters."""
    return visible(str(tool.get("description") or tool.get("title") or ""))[:MAX_DESCRIPTION_CHARS]


def parameters(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema for models, without invisible characters."""
    shown: dict[str, Any] = mapped(tool["inputSchema"], visible)
    return shown


def visible(text: str) -> str:
    """Return a text without characters that a terminal obeys, or that hide or reorder others."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def names(tools: Sequence[str]) -> str:
    """Return names for a sentence, bounded."""
    shown = [visible(name)[:80] for name in tools[:8]]
    return ", ".join(shown) + (f" and {len(tools) - len(shown)} more" if len(tools) > len(shown) else "")


def collision(server: str, tools: ToolSet, others: Iterable[str]) -> str:
    """Return a sentence about a tool of a server that has the name of another for models; empty if there is none.

    `others` are the names of all tools, of which those of the server itself do not count.
    """
    own = qualified(server, "")
    kept = [name for name in others if not name.startswith(own)]
    for name, other in collisions([*kept, *(own + name for name in tools.by_name)]).items():
        return f"The tools {visible(name)} and {other} have the same name for models."
    return ""


def unusable(tools: ToolSet) -> dict[str, str]:
    """Return why tools of a set cannot be offered, by name."""
    reasons = {tool["name"]: why_unusable(tool) for tool in tools.tools}
    return {name: reason for name, reason in reasons.items() if reason}


def report(old: ToolSet, new: ToolSet) -> Iterator[str]:
    """Yield the difference of a new set from an old one as lines for an operator, with each changed part whole."""
    change, before, after = difference(old, new), old.by_name, new.by_name
    for kind, found in (("gone", change.gone), ("new", change.new), ("changed", change.changed)):
        for name in found:
            yield f"{kind}: {visible(name)}"
            old_lines, new_lines = (
                as_json(tools[name]).splitlines() if name in tools else [] for tools in (before, after)
            )
            # With all of its context, and without the two headers: an operator sees the whole tool.
            yield from list(difflib.unified_diff(old_lines, new_lines, n=MAX_SCHEMA_BYTES, lineterm=""))[3:]
    for name, other in change.renamed.items():
        yield f"renamed: {visible(name)} to {visible(other)}"
    for name, reason in unusable(new).items():
        yield f"not offered: {visible(name)}: {reason}"
