"""Searches find what rows have at that moment, and no query or text is an error. On the database of the tests.

Covers `storage.search.matches`, `storage.search.sqlite`, `storage.search.postgres`, `storage.search.migration`.
"""

import sqlite3
import time
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from chat.models import Message, Run, Session
from chat.searched import MESSAGES, RUNS, SESSIONS
from storage.search import matches, migration
from storage.search.index import TextIndex
from storage.search.matches import Matches, number_of
from storage.search.query import parse
from tests.storage.search.conftest import Find, execution
from tools.execution.searched import EXECUTIONS
from tools.models import ToolExecution

HOSTILE = (
    '"', '""', "*", "NEAR(", "NEAR(a b, 2)", "words:a", "scope : x", "{a b} : c", "-", "--", "-a", "a AND OR NOT", "^a",
    "(a", "\0a\0", "\ud800", "x" * 10_000, "é" * 3_000, "'", "';--", "\\", "%s %d %%", "?", ":a", "a:*", "<->", "!!a",
    "a & | b", '"a" *', 'a"b', "²", "½ * -", "\u202e", "𐐀𐐀𐐀", '-"" a', "😀",
)  # fmt: skip


def test_words_are_found_in_every_text_of_a_row(find: Find) -> None:
    one = execution(
        params={"path": "src/Module/file_name.py", "deep": [{"x": "first\nsecond"}]}, data={"text": "é ÜBER tschüß"},
        output="printed", error="It's broken — really", call_id="call_7f3",
    )  # fmt: skip
    execution()
    for text in (
        "module", "name.py -nothing", "file_name", '"file name"', "second", "SECOND first", "über", "tschüß", "printed",
        "broken really", "call_7f3", '"src module"', "mod*", "printed brok", "fs.read printed",
    ):  # fmt: skip
        assert find(text) == [one.pk], text
    for text in ("nsecond", '"second first"', "printed -broken", "odule", "path", "mod", '"printed brok"'):
        assert (find(text) == []) is (text != "mod"), text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_query_is_no_error(find: Find, text: str) -> None:
    execution(output="a b words scope")
    find(text)
    find(text, scopes=["key:a-b", "x' | y", 'x"'])


def test_newest_rows_come_first_and_scopes_and_spans_limit_them(find: Find) -> None:
    rows = [execution(output="common", owner=f"key:{number % 2}") for number in range(5)]
    keys = [row.pk for row in rows]
    assert find("common") == keys[::-1]
    assert find("common", scopes=["key:1"]) == [keys[3], keys[1]]
    assert find("common", scopes=["key:1", "key:0"]) == keys[::-1]
    assert find("common", scopes=["key:2"]) == []
    span = number_of(EXECUTIONS, keys[1]), number_of(EXECUTIONS, keys[2])
    assert find("common", span=span) == [keys[2], keys[1]]
    assert find("common", span=(1, 0)) == []


def test_index_follows_every_change_of_a_row(find: Find) -> None:
    one = execution(status="running", params={"path": "lighthouse"})
    rows = ToolExecution.objects.filter(pk=one.pk)
    assert find("lighthouse") == []
    rows.update(data={"remembered": "plover"})
    rows.update(status="succeeded", output="cormorant")
    assert find("lighthouse plover cormorant") == [one.pk]
    rows.update(note="no text of the index")
    rows.update(params={}, data=None, output="", error="erased")
    assert find("lighthouse") == find("plover") == find("cormorant") == []
    assert find("erased") == [one.pk]
    rows.delete()
    assert find("erased") == []
    waits = execution(status="awaiting_approval", params={"path": "gannet"})
    assert find("gannet") == [waits.pk]
    ToolExecution.objects.filter(pk=waits.pk).update(status="running")
    assert find("gannet") == [waits.pk]


def test_any_text_can_be_stored_and_its_beginning_is_found(find: Find) -> None:
    letters = "".join(f"{chr(0x10400 + number % 40)}{chr(0x20000 + number)}-" for number in range(40_000))
    rows = [
        execution(output=f"begin{number} {text}")
        for number, text in enumerate(
            (letters, "y" * 3_000_000, "a b " * 100_000, "\u202e\ufffd\x01\x7f", "\\" * 9_000)
        )
    ]
    execution(params=[[[["deep" * 50_000]]]], data={"long": ["x" * 10] * 30_000})
    for number, row in enumerate(rows):
        assert find(f"begin{number}") == [row.pk]
        row.delete()
        assert find(f"begin{number}") == []


def test_rows_that_a_cascade_deletes_leave_the_indexes(db: None) -> None:
    now = timezone.now()
    one = Session.objects.create(id=uuid4(), owner="key:a", title="A gannet", user="ann", created=now, updated=now)
    turn = Run.objects.create(id=uuid4(), session=one, status="failed", error="gannet", created=now)
    Message.objects.create(session=one, run=turn, role="user", content="gannet", created=now)

    def count(index: TextIndex) -> int:
        found = Matches(index, parse("gannet"), until=time.perf_counter() + 30)
        return sum(map(len, found))

    assert [count(index) for index in (SESSIONS, RUNS, MESSAGES)] == [1, 1, 1]
    one.title = "Renamed"
    one.save()
    assert count(SESSIONS) == 0
    one.delete()
    assert [count(index) for index in (RUNS, MESSAGES)] == [0, 0]


def test_rows_that_were_there_are_indexed_in_batches(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "ROWS_AT_ONCE", 2)
    migration.drop(EXECUTIONS, "default")
    rows = [execution(id=UUID(int=number + 1), output=f"kept word{number}") for number in range(5)]
    running = execution(status="running", output="kept")
    migration.create(EXECUTIONS, "default")
    migration.create(EXECUTIONS, "default")
    assert find("kept") == [row.pk for row in rows[::-1]]
    assert find("word3") == [rows[3].pk]
    ToolExecution.objects.filter(pk=running.pk).update(status="succeeded")
    rows[0].delete()
    assert find("kept") == [running.pk, *(row.pk for row in rows[:0:-1])]


def test_search_that_is_out_of_time_is_cut(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "INSTRUCTIONS", 1)
    execution(output="word")
    found = Matches(EXECUTIONS, parse("word"), until=time.perf_counter())
    list(found)
    assert found.is_cut


@pytest.mark.sqlite
def test_triggers_that_an_altered_table_lost_are_made_again(find: Find) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER tool_executions_texts_added")
    execution(output="lost")
    migration.restore("default", EXECUTIONS)
    execution(output="again")
    assert (len(find("lost")), len(find("again"))) == (0, 1)


@pytest.mark.sqlite
def test_optimized_index_has_no_removed_word_in_its_file(find: Find) -> None:
    one = execution(output="unmistakable")
    one.delete()
    migration.optimize("default", EXECUTIONS)
    assert connection.connection is not None
    database: sqlite3.Connection = connection.connection
    blocks = database.execute("SELECT block FROM tool_executions_words_data").fetchall()
    assert not any(b"unmistakable" in bytes(block) for (block,) in blocks)
