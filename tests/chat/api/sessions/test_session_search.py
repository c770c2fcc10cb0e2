"""`GET /chat/sessions?search=`: by titles and messages, of the caller's own sessions only; bad input first.

Covers `chat.history.session_search`.
"""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.utils import timezone

from chat.history import session_search
from chat.history.session_search import SessionSearch
from chat.models import Message, Run, Session
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start


async def titles(api: Api, query: str, **options: Any) -> list[str]:
    return [item["title"] for item in (await api.get(f"/chat/sessions?search={query}", **options))["items"]]


async def test_search_finds_own_sessions_by_title_and_message(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice"), await make_key("bob")
    api = await start(Scripted(*([text("A cormorant dives.")] for _ in range(3))))
    for key, message in ((alice, "Where is the lighthouse?"), (alice, "Count to three"), (bob, "The lighthouse")):
        await api.call("POST", "/chat/stream", json={"message": message}, headers=key.headers)
    assert (await api.call("GET", f"/chat/sessions?search={'x' * 1_001}", headers=alice.headers)).status == 422
    assert (await api.call("GET", "/chat/sessions?search=%00", headers=alice.headers)).status == 400
    for odd in (quote('"'), "*", "NEAR(", "-", "%ED%A0%80"):
        assert await titles(api, odd, headers=alice.headers) == [], odd
    for blank in ("", "%20"):
        assert len(await titles(api, blank, headers=alice.headers)) == 2
    for query in ("lighthouse", "light", "lighthouse where", quote('"is the lighthouse"'), "lighthouse -count"):
        assert await titles(api, query, headers=alice.headers) == ["Where is the lighthouse?"], query
    assert await titles(api, "cormorant", headers=alice.headers) == ["Count to three", "Where is the lighthouse?"]
    assert await titles(api, "cormorant&limit=1&offset=1", headers=alice.headers) == ["Where is the lighthouse?"]
    assert await titles(api, "cormorant lighthouse", headers=alice.headers) == []
    assert await titles(api, "lighthouse&archived=true", headers=alice.headers) == []
    assert await titles(api, "lighthouse", headers=bob.headers) == ["The lighthouse"]


def session(owner: str, content: str) -> Session:
    now = timezone.now()
    one = Session.objects.create(id=uuid4(), owner=owner, user="", title="", created=now, updated=now)
    run = Run.objects.create(id=uuid4(), session=one, status="completed", created=now)
    Message.objects.create(session=one, run=run, role="user", content=content, created=now)
    return one


def test_search_reads_a_bounded_number_of_sessions_and_says_so(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_search, "SESSIONS_AT_ONCE", 2)
    own = [session("key:a", f"gannet {number}") for number in range(5)]
    session("key:b", "gannet")
    search = SessionSearch("key:a", "gannet", archived=False)
    assert search.keys() == [one.pk for one in own[::-1]]
    assert search.is_complete
    assert len(SessionSearch(None, "gannet", archived=False).keys()) == 6
    monkeypatch.setattr(session_search, "MAX_FOUND", 3)
    search = SessionSearch("key:a", "gannet", archived=False)
    assert search.keys() == [one.pk for one in own[:1:-1]]
    assert not search.is_complete
    monkeypatch.setattr(session_search, "MAX_SECONDS", -1)
    search = SessionSearch("key:a", "gannet", archived=False)
    search.keys()
    assert not search.is_complete
