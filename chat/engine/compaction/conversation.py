"""The conversation of a turn, and the place of each of its entries among the stored messages of the session."""

from chat.engine.compaction.shortening import LEFT_OUT, Compacted, compact
from chat.engine.context.window import message_tokens
from chat.engine.messages import Entry, History, Message, Summary, UserMessage


class Conversation:
    """The `entries` of a conversation as the model gets them, and the same as they are stored: `whole`.

    Messages that are only for the model, such as corrections, have no place.
    """

    def __init__(self, history: History) -> None:
        self.entries = list(history.entries)
        self.whole = list(history.entries)
        self._places: list[int | None] = list(history.places)
        self._rows = history.rows

    @property
    def tokens(self) -> int:
        """The tokens of the whole conversation, estimated."""
        return sum(map(message_tokens, self.entries))

    def add(self, message: Message) -> None:
        """Add a message that is stored as well, behind all others."""
        self._append(message, self._rows)
        self._rows += 1

    def add_unstored(self, message: UserMessage) -> None:
        """Add a message that is only for the model."""
        self._append(message, None)

    def compacted(self, tokens: int, *, pages: bool = False, replaces: bool = True) -> Compacted:
        """Return the conversation shortened to about `tokens`, as `compact` does it."""
        unasked = frozenset(index for index, place in enumerate(self._places) if place is None)
        return compact(self.entries, tokens, pages=pages, replaces=replaces, unasked=unasked)

    def summary(self, found: Compacted, text: str) -> Summary:
        """Return a summary of the messages that are left out."""
        stay = (self._places[index] for index in found.kept if index is not None)
        kept = frozenset(self._rows - 1 - place for place in stay if place is not None)
        return Summary(text=text, rows=self._rows, kept=kept)

    def shorten(self, found: Compacted, summary: Summary | None = None) -> None:
        """Continue with the shorter conversation, with the summary or a note for the rest."""
        if found.left:
            instead: Entry = summary or UserMessage(text=LEFT_OUT.format(count=found.left_out))
            self._places = [None if index is None else self._places[index] for index in found.kept]
            if summary is not None:
                self._places[found.kept.index(None)] = self._rows
                self._rows += 1
            self.entries = list(found.with_instead(instead))
            self.whole = [instead if index is None else self.whole[index] for index in found.kept]
        else:
            self.entries = list(found.entries)

    def _append(self, message: Message, place: int | None) -> None:
        self.entries.append(message)
        self.whole.append(message)
        self._places.append(place)
