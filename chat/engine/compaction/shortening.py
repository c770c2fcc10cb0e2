"""A conversation shortened for a model: old tool results as lines, and older messages left out of it."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from chat.engine.context.window import message_tokens
from chat.engine.messages import AssistantMessage, Entry, Summary, ToolMessage, UserMessage

KEPT_RESULTS: Final = 3
"""The newest tool results, which are never replaced."""

KEPT_STEPS: Final = 2
"""The newest answers with their tool results, which are never left out."""

MIN_RESULT: Final = 50
"""Tokens of a tool result that is worth replacing."""

REPLACED: Final = "[This result was left out to save context.{how}]"
HOW_TO_READ: Final = " output.read with execution_id {execution_id} reads it."
LEFT_OUT: Final = "[{count} earlier messages of this conversation were left out to save context.]"


class Compacted(msgspec.Struct, frozen=True):
    """A shorter conversation: how many tool `results` were replaced, and the places that are `left` out of it."""

    entries: tuple[Entry, ...]
    results: int = 0
    left: tuple[int, ...] = ()

    @property
    def messages(self) -> tuple[Entry, ...]:
        """The conversation, with a note in place of the messages that are left out."""
        return self.with_instead(UserMessage(text=LEFT_OUT.format(count=self.left_out))) if self.left else self.entries

    @property
    def left_out(self) -> int:
        return len(self.left)

    def with_instead(self, entry: Entry) -> tuple[Entry, ...]:
        """Return the conversation with one entry in place of all that is left out: behind the messages before it."""
        return tuple(entry if place is None else self.entries[place] for place in self.kept)

    @property
    def kept(self) -> tuple[int | None, ...]:
        """The places of the entries that stay, with None in place of the last one that is left out."""
        left = frozenset(self.left[:-1])
        last = self.left[-1:]
        return tuple(None if place in last else place for place in range(len(self.entries)) if place not in left)


def compact(
    messages: Sequence[Entry],
    tokens: int,
    *,
    pages: bool = False,
    replaces: bool = True,
    unasked: Collection[int] = (),
) -> Compacted:
    """Return the conversation shortened to about `tokens`, by these means in order, each no further than needed.

    Old tool results are replaced by a line, if it `replaces` any, which names `output.read` if there are `pages`.
    Older exchanges are left out. Older steps of the newest exchange are left out. A call and its result are never
    parted. The user messages at the places `unasked` are not the user's.
    """
    sizes = [message_tokens(message) for message in messages]
    found, results = list(messages), 0
    if replaces:
        results = _replace_results(found, sizes, sum(sizes) - tokens, pages=pages)
    left = _left_out(found, sizes, sum(sizes) - tokens, unasked)
    return Compacted(tuple(found), results, left)


def _replace_results(found: list[Entry], sizes: list[int], over: int, *, pages: bool) -> int:
    """Replace old tool results by a line until `over` tokens are saved. Return how many were replaced."""
    places = [place for place, message in enumerate(found) if isinstance(message, ToolMessage)]
    results = 0
    for place in places[: -KEPT_RESULTS or None]:
        message = found[place]
        if over <= 0 or sizes[place] < MIN_RESULT or not isinstance(message, ToolMessage):
            continue
        how = HOW_TO_READ.format(execution_id=message.execution_id) if pages and message.execution_id else ""
        found[place] = msgspec.structs.replace(message, content=REPLACED.format(how=how))
        over -= sizes[place] - message_tokens(found[place])
        sizes[place] = message_tokens(found[place])
        results += 1
    return results


def _left_out(found: Sequence[Entry], sizes: Sequence[int], over: int, unasked: Collection[int]) -> tuple[int, ...]:
    """Return the places of the messages to leave out, so that `over` tokens are saved if possible."""
    if over <= 0:
        return ()
    people = {place for place, entry in enumerate(found) if isinstance(entry, UserMessage) and place not in unasked}
    newest = max(people, default=-1)
    while newest - 1 in people:
        newest -= 1
    starts = [place for place in sorted(people) if place <= newest and place - 1 not in people]
    cut = _cut(sizes, starts, over)
    over -= sum(sizes[:cut])
    # The question itself stays: it is what all of the steps are about.
    steps = [place for place in range(newest + 1, len(found)) if isinstance(found[place], AssistantMessage)]
    asked = steps[0] if steps else len(found)
    # What stands for older steps is older than the others.
    while asked - 1 > newest and (isinstance(found[asked - 1], Summary) or asked - 1 in unasked):
        asked -= 1
    resumed = asked
    if over > 0:
        resumed = _cut(sizes, steps[1 : -KEPT_STEPS + 1], over, asked)
    left = (*range(cut), *range(asked, resumed))
    # A summary is not worth another one of its own, and nothing that is stored would be left out.
    is_worth = any(place not in unasked and not isinstance(found[place], Summary) for place in left)
    return left if is_worth else ()


def _cut(sizes: Sequence[int], places: Iterable[int], over: int, begin: int = 0) -> int:
    """Return the first of the places before which enough is left out, or the last of them."""
    cut, saved = begin, 0
    for place in places:
        saved += sum(sizes[cut:place])
        cut = place
        if saved >= over:
            break
    return cut
