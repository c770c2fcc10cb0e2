"""Scopes: their notation, and the operations that they allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access import scopes
from access.scopes import ALL, DEFAULT, NONE, WORDS, ScopeInvalid, Scopes
from chat.engine.messages import ProviderParts
from chat.engine.model_port import Finished, Thought
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey, make_user
from tests.chat.api.sockets.test_consumer import connected, received
from tests.conftest import Start

TOOLS = ("fs.read", "fs.write", "git.status", "git.diff", "terminal.exec", "speech.transcribe", "output.read")
PATTERNS = ("fs.read", "fs.*", "git.*", "git.d*", "*.read", "*", "tools", "f*", "*s*", "fs.r*d", "terminal.exec")


def test_words_and_tool_patterns_are_separate() -> None:
    found = scopes.scopes(["chat", "fs.read", "git.*"])
    assert (found.may("chat"), found.may("approve")) == (True, False)
    assert [tool for tool in TOOLS if found.may_use(tool)] == ["fs.read", "git.status", "git.diff"]


def test_the_scope_tools_and_the_wildcard_include_every_tool() -> None:
    assert scopes.scopes(["tools"]) == scopes.scopes(["*"]) == scopes.scopes(["*", "fs.read"])
    assert all(map(scopes.scopes(["tools"]).may_use, TOOLS))
    assert not any(map(scopes.scopes(["chat"]).may_use, TOOLS))


@pytest.mark.parametrize("of", [ALL, DEFAULT, scopes.scopes(["audit", "fs.*", "git.diff"])])
def test_scopes_survive_a_round_trip_as_text(of: Scopes) -> None:
    assert scopes.scopes(of.texts()) == of


def test_default_scopes_exclude_audit_keys_and_reasoning() -> None:
    assert set(WORDS) - DEFAULT.words == {"audit", "keys", "reasoning"}


@pytest.mark.parametrize(
    "text",
    ["", " ", "chats", "Chat", "admin", "fs", "FS.read", "fs.read source=model", "fs.[a-z]", "fs.?", "fs/read", "\n",
     "<b>.x", "\x1b[31m.x", "é.*", "a" * 128 + ".*"],
)  # fmt: skip
def test_unknown_scope_is_rejected_and_escaped_in_the_error(text: str) -> None:
    with pytest.raises(ScopeInvalid) as caught:
        scopes.scopes(["chat", text])
    assert str(caught.value).isprintable()
    assert "Valid scopes: chat, approve, speech" in str(caught.value)


def test_number_of_scopes_is_between_1_and_100() -> None:
    with pytest.raises(ScopeInvalid):
        scopes.scopes([])
    with pytest.raises(ScopeInvalid):
        scopes.scopes([f"a.{number}" for number in range(101)])


@given(st.lists(st.sampled_from(PATTERNS)), st.lists(st.sampled_from(PATTERNS), min_size=1))
def test_covering_scopes_may_use_every_tool_that_the_covered_ones_may(wide: list[str], narrow: list[str]) -> None:
    one = scopes.scopes(wide) if wide else NONE
    other = scopes.scopes(narrow)
    if one.covers(other):
        assert all(one.may_use(tool) for tool in TOOLS if other.may_use(tool))


def test_wider_scopes_cover_narrower_ones() -> None:
    assert ALL.covers(DEFAULT)
    assert not DEFAULT.covers(ALL)
    assert scopes.scopes(["fs.*"]).covers(scopes.scopes(["fs.r*", "fs.read"]))
    assert not scopes.scopes(["fs.r*"]).covers(scopes.scopes(["fs.*"]))
    assert not scopes.scopes(["fs.*", "git.*"]).covers(scopes.scopes(["tools"]))
    assert DEFAULT.covers(NONE)


async def test_reasoning_needs_its_own_scope(start: Start, make_key: MakeKey) -> None:
    user = await make_user("alice")
    plain = await make_key("plain", "chat", user_id=user)
    curious = await make_key("curious", "chat", "reasoning", user_id=user)
    parts = ProviderParts(provider="scripted", model="scripted-1", data={}, reasoning='H\\"m.')
    answer = [Thought('H\\"m'), Thought("."), text("Hi"), Finished(reason="stop", provider_parts=parts)]
    api = await start(Scripted(answer, answer))
    body = {"message": "a", "reasoning": "show"}
    refused = await api.call("POST", "/chat/stream", json=body, headers=plain.headers)
    assert (refused.status, refused.json()["code"]) == (403, "scope")
    for key, asked, seen in ((plain, {"message": "a"}, None), (curious, body, parts.reasoning)):
        done = await api.call("POST", "/chat/stream", json=asked, headers=key.headers)
        assert ("reasoning" in done.types()) is (seen is not None)
        path = f"/chat/sessions/{done.headers['X-Session-Id']}/messages"
        assert (await api.get(path, headers=key.headers))["items"][-1]["reasoning"] == seen
    # Another key of the same user may follow the run, but not its reasoning.
    path = f"/chat/runs/{done.headers['X-Run-Id']}/stream"
    followed = await api.call("GET", path, headers=plain.headers)
    assert [event["text"] for event in followed.events if event["type"] == "reasoning"] == ["", ""]
    assert (followed.text, followed.types()) == ("Hi", done.types())
    assert (await api.call("GET", path, headers=curious.headers)).body == done.body
    async with connected(api, headers=plain.headers) as socket:
        await socket.send_json({"type": "follow", "run_id": done.headers["X-Run-Id"]})
        messages = await received(socket, "end")
    assert [message["text"] for message in messages if message["type"] == "reasoning"] == ["", ""]
