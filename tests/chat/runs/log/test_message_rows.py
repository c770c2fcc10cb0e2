"""Summaries name the rows that they stand for, and the next turn reads back what the turn before it had.

Covers `chat.history.messages`, `chat.engine.compaction.conversation`.
"""

from typing import Any
from unittest import mock
from uuid import uuid4

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chat.engine.compaction.conversation import Conversation
from chat.engine.context.window import answered
from chat.engine.messages import AssistantMessage, Entry, History, Message, Summary, ToolCall, ToolMessage, UserMessage
from chat.history import messages
from chat.runs.log import message_rows

ACTIONS = st.lists(st.sampled_from(["ask", "step", "answer", "correct", "compact", "next turn"]), max_size=60)


class Store:
    """The rows of one session, among those of others. `conversation` is that of the turn under way."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.entries: dict[int, Entry] = {}
        self.conversation = Conversation(History.of())

    def add(self, entry: Entry) -> None:
        ranges = None
        if isinstance(entry, Summary):
            newest = [(row[0],) for row in reversed(self.rows)]
            with mock.patch.object(message_rows, "_newest_ids", lambda _, most: newest[:most]):
                ranges = msgspec.json.encode(message_rows._summarized(uuid4(), entry)).decode()
        number = 3 * len(self.rows) + 1
        self.rows.append((number, msgspec.to_builtins(entry)["role"], ranges))
        self.entries[number] = entry

    def say(self, *entries: Message) -> None:
        for entry in entries:
            self.add(entry)
            self.conversation.add(entry)

    def compact(self) -> None:
        found = self.conversation.compacted(0, replaces=False)
        if found.left:
            summary = self.conversation.summary(found, f"Summary {len(self.rows)}")
            self.add(summary)
            self.conversation.shorten(found, summary)

    def read(self) -> History:
        summaries = [place for place, row in enumerate(self.rows) if row[1] == "summary"]
        places = messages._places(self.rows, summaries[-1]) if summaries else list(range(len(self.rows)))
        entries = tuple(self.entries[self.rows[place][0]] for place in places)
        return History(entries=entries, places=tuple(places), rows=len(self.rows))


@given(ACTIONS)
def test_next_turn_reads_what_the_turn_before_it_had(actions: list[str]) -> None:
    store = Store()
    for number, action in enumerate(actions):
        call = ToolCall(call_id=f"c{number}", name="fs.read", arguments="{}")
        if action == "ask":
            store.say(UserMessage(text=f"Question {number}"))
        elif action == "step":
            store.say(AssistantMessage(text="", tool_calls=(call,)))
            store.say(ToolMessage(call_id=call.call_id, name="fs.read", content=f"r{number}"))
        elif action == "answer":
            store.say(AssistantMessage(text=f"Answer {number}"))
        elif action == "correct":
            store.conversation.add_unstored(UserMessage(text="Again"))
        elif action == "compact":
            store.compact()
        else:
            store.conversation = Conversation(store.read())
        has = [entry for entry in store.conversation.entries if entry != UserMessage(text="Again")]
        assert list(store.read().entries) == has
        assert sum(isinstance(entry, Summary) for entry in has) <= 1
        assert answered(has) == answered(answered(has)), "each call has its result"
        assert sum(isinstance(entry, ToolMessage) for entry in has) == sum(
            isinstance(entry, AssistantMessage) and bool(entry.tool_calls) for entry in has
        )
    asked = [entry for entry in store.entries.values() if isinstance(entry, UserMessage)]
    assert all(question in store.conversation.entries for question in asked[-1:])
