"""Sessions by the words of their titles, users, metadata and messages, found in a limited time."""

import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from chat.models import Message, Session
from chat.searched import MESSAGES, SESSIONS
from storage.search.matches import Matches
from storage.search.query import Query, parse

MAX_SECONDS: Final = 0.25
MAX_FOUND: Final = 1_000
"""Sessions that a search finds at most."""

SESSIONS_AT_ONCE: Final = 200
"""Sessions whose messages one query searches."""


class SessionSearch:
    """A search in the sessions of an owner; None reads all owners. `is_complete` is false if its time was over."""

    def __init__(self, owner: str | None, text: str, *, archived: bool) -> None:
        self.is_complete = True
        self._owner = owner
        self._query: Query = parse(text)
        self._archived = archived

    def keys(self) -> list[UUID]:
        """Return the ids of sessions that match. Raises the database's errors."""
        until = time.perf_counter() + MAX_SECONDS
        found: dict[UUID, None] = {}
        for batch in self._batches(until):
            found |= dict.fromkeys(batch)
            if len(found) >= MAX_FOUND:
                self.is_complete = False
                break
        return list(found)[:MAX_FOUND]

    def _batches(self, until: float) -> Iterator[Any]:
        scopes = () if self._owner is None else (self._owner,)
        yield from self._read(Matches(SESSIONS, self._query, until=until, scopes=scopes))
        for sessions in self._own_sessions():
            if time.perf_counter() > until:
                self.is_complete = False
                return
            matches = Matches(MESSAGES, self._query, until=until, scopes=sessions)
            for batch in self._read(matches):
                yield Message.objects.filter(pk__in=batch).order_by("-pk").values_list("session_id", flat=True)

    def _read(self, matches: Matches) -> Iterator[list[Any]]:
        yield from matches
        self.is_complete = self.is_complete and not matches.is_cut

    def _own_sessions(self) -> Iterator[list[UUID]]:
        """Yield the owner's sessions, the newest first, so that messages of others cost no time; once empty for all."""
        if self._owner is None:
            yield []
            return
        rows = Session.objects.filter(owner=self._owner, archived=self._archived).order_by("-updated")
        keys = list(rows.values_list("pk", flat=True)[:MAX_FOUND])
        self.is_complete = self.is_complete and len(keys) < MAX_FOUND
        for start in range(0, len(keys), SESSIONS_AT_ONCE):
            yield keys[start : start + SESSIONS_AT_ONCE]
