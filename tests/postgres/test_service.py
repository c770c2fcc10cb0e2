"""The service on a real PostgreSQL: real processes, real requests, and a model on a real socket.

Covers `storage.engine_options`.
"""

import asyncio
import json
from typing import Any

import pytest

from tests.chat.providers.fake_openai import DONE, call, delta, finish, refused, said, sse, streamed, usage
from tests.fake_service import Reply
from tests.managing import managed
from tests.postgres.conftest import Site
from tests.servers import Postgres
from tests.streams import read_until

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.slow]


def saying(*texts: str) -> Reply:
    return streamed(said(*texts), finish(), usage(prompt_tokens=7, completion_tokens=3), DONE)


def escaped(*texts: str) -> Reply:
    """Return an answer in ASCII only; everything else becomes JSON escapes, which can express more than UTF-8 can."""
    pieces = [f"data: {json.dumps(delta(content=text))}\n\n".encode() for text in texts]
    return streamed(*pieces, finish(), DONE)


def calling(name: str, arguments: str, call_id: str = "c1") -> Reply:
    return streamed(call(0, call_id=call_id, name=name, arguments=arguments), finish("tool_calls"), DONE)


async def test_conversation_is_stored_and_replayed_byte_for_byte(site: Site) -> None:
    site.fake.play(saying("It is ", "Paris. ", "été \U0001f600"), saying("Berlin."))
    first = await site.ask(message="France's capital?", metadata={"n": [1, 2.5, None, "é"]}, user="u1")
    second = await site.ask(message="Germany's?", session_id=first.headers["X-Session-Id"], process=1)
    assert [answer.events[-1]["reason"] for answer in (first, second)] == ["completed", "completed"]
    for answer in (first, second):
        for process in (0, 1):
            replayed = await site.call("GET", answer.headers["Content-Location"], process=process)
            assert replayed.body == answer.body
    middle = await site.call("GET", first.headers["Content-Location"] + "?after=2")
    assert first.body.endswith(middle.body)
    stored = await site.get(f"/chat/sessions/{first.headers['X-Session-Id']}/messages")
    texts = ["France's capital?", "It is Paris. été \U0001f600", "Germany's?", "Berlin."]
    assert [message["content"] for message in stored["items"]] == texts
    assert stored["items"][1]["usage"]["input_tokens"] == 7
    asked = [message["content"] for message in site.fake.requests[-1].body["messages"]]
    assert asked[-3:] == texts[:3]


async def test_session_is_listed_changed_and_deleted(site: Site) -> None:
    answer = await site.ask(tool_calls=[{"name": "fs.list"}])
    path = f"/chat/sessions/{answer.headers['X-Session-Id']}"
    changed = await site.call("PATCH", path, json={"title": "T", "metadata": {"k": {"é": [True, 2.50]}}})
    assert changed.json()["metadata"] == {"k": {"é": [True, 2.50]}}
    assert any(item["title"] == "T" for item in (await site.get("/chat/sessions"))["items"])
    assert (await site.call("DELETE", path)).status == 204
    assert (await site.call("GET", path)).status == 404
    assert (await site.call("GET", answer.headers["Content-Location"])).status == 404


async def test_tool_runs_and_is_recorded(site: Site) -> None:
    (site.folder / "workspaces" / "a.txt").write_text("plover\n")
    answer = await site.ask(tool_calls=[{"name": "fs.read", "params": {"path": "a.txt"}}])
    result = answer.one("tool_result")
    stored = await site.get(f"/tools/executions/{result['execution_id']}", process=1)
    assert (stored["status"], stored["data"], stored["params"]) == ("succeeded", result["data"], {"path": "a.txt"})
    assert (await site.get("/tools/executions?status=succeeded"))["count"] >= 1


async def test_approved_run_is_resumed_by_any_process(site: Site) -> None:
    body = {"tool_calls": [{"name": "fs.write", "params": {"path": "b.txt", "content": "x\n"}}]}
    async with site.session.post(site.at(0) + "/chat/stream", json=body) as response:
        waiting = await waiting_execution(site, response.headers["X-Run-Id"])
        assert not (site.folder / "workspaces" / "b.txt").exists()
        path = f"/tools/executions/{waiting['id']}/approve"
        decided = await site.call("POST", path, json={"params_sha256": waiting["params_sha256"]}, process=1)
        assert decided.status == 200
        assert b'"reason":"completed"' in await response.read()
    assert (site.folder / "workspaces" / "b.txt").read_text() == "x\n"
    assert (await site.get(f"/tools/executions/{waiting['id']}"))["status"] == "succeeded"


async def waiting_execution(site: Site, run_id: str) -> Any:
    async with asyncio.timeout(10):
        while True:
            found = await site.get(f"/tools/executions?run_id={run_id}&status=awaiting_approval")
            if found["items"]:
                return found["items"][0]
            await asyncio.sleep(0.02)


async def test_run_is_followed_and_cancelled(site: Site) -> None:
    site.fake.play(streamed(said("Half"), ending="silence"))
    site.fake.disconnected.clear()
    async with site.session.post(site.at(0) + "/chat/stream", json={"message": "Hi"}) as response:
        run = response.headers["X-Run-Id"]
        following = asyncio.create_task(site.call("GET", f"/chat/runs/{run}/stream", process=1))
        got = await read_until(response, b"Half")
        assert (await site.call("POST", f"/chat/runs/{run}/cancel")).status == 200
        got += await response.read()
    assert b'"reason":"cancelled"' in got
    assert (await following).body == got
    assert (await site.get(f"/chat/runs/{run}"))["text"] == "Half"
    await asyncio.wait_for(site.fake.disconnected.wait(), 5)


HOSTILE = [
    ("NUL and halves of surrogate pairs in a text", escaped("a\x00b", "\ud800", "\udc00\ud83d", "\ude00"), []),
    ("nothing but NUL", escaped("\x00" * 1_000), []),
    (
        "counts beyond every column",
        streamed(said("x"), finish(), usage(prompt_tokens=2**62, completion_tokens=2**40)),
        [],
    ),
    ("a name with NUL", calling("fs_read\x00", "{}"), ["unknown_tool"]),
    ("a name of 5,000 characters", calling("x" * 5_000, "{}"), ["unknown_tool"]),
    ("a call's id with NUL, of 400 characters", calling("fs_list", "{}", "c\x00" + "i" * 400), []),
    ("NUL in a param", calling("fs_read", r'{"path": "a\u0000b"}'), ["invalid_params"]),
    ("a lone surrogate in a param", calling("fs_write", r'{"path": "w", "content": "\udc00"}'), ["invalid_params"]),
    ("NUL in the name of a param", calling("fs_read", r'{"\u0000": 1}'), ["invalid_params"]),
    ("a number beyond every float", calling("fs_read", '{"path": "x", "n": 1e999}'), ["invalid_params"]),
    ("a number of 4,000 digits", calling("fs_read", '{"path": "x", "n": ' + "9" * 4_000 + "}"), ["invalid_params"]),
    ("a text of 1.5 MB", saying("x" * 1_500_000), []),
    (
        "an end for an unheard reason",
        streamed(sse(delta("we\x00ird" * 100, content="x")), DONE),
        ["provider_unavailable"],
    ),
    ("a refusal with NUL", refused(400, {"message": "bad \x00 \ud800" + "z" * 100_000}), ["provider_rejected"]),
]


@pytest.mark.parametrize(("reply", "codes"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
async def test_model_output_cannot_fail_a_statement(site: Site, reply: Reply, codes: list[str]) -> None:
    site.fake.play(reply, *([saying("ok")] if b"tool_calls" in b"".join(reply.pieces) else []))
    async with asyncio.timeout(15):
        answer = await site.ask(message="y" * 100_000)
    ended = answer.events[-1]
    assert ended["type"] == ("error" if any(code.startswith("provider_") for code in codes) else "end")
    assert [event["code"] for event in answer.events if event.get("code")] == codes
    assert (await site.call("GET", answer.headers["Content-Location"], process=1)).body == answer.body
    stored = await site.get(f"/chat/sessions/{answer.headers['X-Session-Id']}/messages")
    assert "\x00" not in str(stored)


async def test_request_content_cannot_fail_a_statement(site: Site) -> None:
    nest: Any = 1
    for _ in range(90):
        nest = [nest]
    numbers = {"a": 1e308, "b": -0.0, "c": 10**3_000, "d": 5e-324, "nest": nest}
    answer = await site.ask(
        tool_calls=[{"name": "é" * 128, "params": {"\uffff": "\ufffe"}}], metadata=numbers, user="\U0001f600" * 255
    )
    assert answer.one("tool_error")["code"] == "unknown_tool"
    run = answer.headers["Content-Location"]
    for path in ("/tools/executions?status=%00", "/tools/executions?run_id=%00", f"{run}?after=%00"):
        assert (await site.call("GET", path)).status == 400
    assert (await site.call("GET", "/chat/sessions?offset=99999999999999999999")).status == 422
    for cursor in ("2147483648", "9223372036854775808", "-1"):
        assert (await site.call("GET", f"{run}?after={cursor}")).status == 422


async def test_file_names_and_contents_cannot_fail_a_statement(site: Site) -> None:
    folder = site.folder / "workspaces" / "bytes"
    folder.mkdir()
    with open(bytes(folder) + b"/\xff\xfe.txt", "wb") as file:  # noqa: PTH123, ASYNC230 - the name is no text
        file.write(b"a\x00b needle \xff\n")
    (folder / "n.txt").write_bytes(b"needle \xff\n")
    calls = [
        ("fs.list", {"path": "bytes"}),
        ("fs.search", {"pattern": "needle"}),
        ("terminal.exec", {"argv": ["grep", "-r", "-a", "needle", "bytes"]}),
    ]
    answer = await site.ask(tool_calls=[{"name": name, "params": params} for name, params in calls])
    assert [event["type"] for event in answer.events if event["type"] in {"tool_result", "tool_error"}] == [
        "tool_result"
    ] * 3
    assert (await site.call("GET", answer.headers["Content-Location"])).body == answer.body


async def test_open_streams_hold_no_connection_and_their_writes_are_grouped(site: Site, postgres: Postgres) -> None:
    gate = asyncio.Event()
    count = 64
    words = [said(f"w{number} ") for number in range(20)]
    site.fake.play(*(streamed(said("first "), *words, finish(), DONE, gate=gate) for _ in range(count)))
    asking = [asyncio.create_task(site.ask(message="Hi", process=0)) for _ in range(count)]
    async with asyncio.timeout(20):
        while len(await active_runs(site)) < count:
            await asyncio.sleep(0.02)
    async with asyncio.timeout(20):  # Their first words may still be in the writer's queue.
        while (held := await asyncio.to_thread(connections, postgres, site)).get("idle in transaction"):
            await asyncio.sleep(0.02)
    assert sum(held.values()) <= 16
    gate.set()
    answers = await asyncio.gather(*asking)
    assert {answer.text for answer in answers} == {"first " + "".join(f"w{number} " for number in range(20))}
    rows, transactions = await asyncio.to_thread(written, postgres, site, count)
    assert (rows, transactions < count / 2) == (count, True)


async def active_runs(site: Site) -> list[Any]:
    return [item for item in (await site.get("/chat/sessions?limit=200"))["items"] if item["active_run"]]


def connections(postgres: Postgres, site: Site) -> dict[str, int]:
    """Return the number of connections in each state."""
    name = site.database.rpartition("/")[2]
    found = postgres.query("SELECT state, count(*) FROM pg_stat_activity WHERE datname = %s GROUP BY 1", name)
    return dict(found)


def written(postgres: Postgres, site: Site, most: int) -> tuple[int, int]:
    """Return the newest answers, and the number of transactions that wrote them."""
    newest = f"SELECT xmin::text AS t FROM messages WHERE role = 'assistant' ORDER BY id DESC LIMIT {most}"  # noqa: S608
    return tuple(postgres.query(f"SELECT count(*), count(DISTINCT t) FROM ({newest})", url=site.database)[0])  # noqa: S608


async def test_console_pages_show_the_stored_records(site: Site) -> None:
    secret = {"DATABASE_URL": site.database, "DJANGO_SUPERUSER_PASSWORD": "correct horse"}
    account = ("--username", "root", "--email", "r@example.org")
    await asyncio.to_thread(lambda: managed(site.folder, "createsuperuser", "--noinput", *account, **secret))
    login = await site.call("GET", "/admin/login/")
    token = login.body.split(b'name="csrfmiddlewaretoken" value="')[1].split(b'"')[0].decode()
    form = {"csrfmiddlewaretoken": token, "username": "root", "password": "correct horse", "next": "/admin/"}
    assert (await site.call("POST", "/admin/login/", data=form, headers={"Origin": site.at(0)})).status == 200
    pages = ["chat/session/", "chat/run/", "chat/message/", "tools/toolexecution/"]
    for page in ["", *pages, *(f"{page}?q=France" for page in pages)]:
        answer = await site.call("GET", f"/admin/{page}")
        assert (answer.status, b"Log out" in answer.body) == (200, True), page
    for page in pages:
        assert (await site.call("GET", f"/admin/{page}?q=%00")).status < 500
    for kind, path in (("session", "/chat/sessions"), ("toolexecution", "/tools/executions")):
        for item in (await site.get(path))["items"]:
            app = "tools" if kind == "toolexecution" else "chat"
            assert (await site.call("GET", f"/admin/{app}/{kind}/{item['id']}/change/")).status == 200


async def test_processes_share_the_index_of_a_workspace(site: Site, postgres: Postgres) -> None:
    text = "# Birds\n\nA whimbrel lives at the shore."
    (site.folder / "workspaces" / "guide.md").write_text(text)
    search = {"name": "retrieval.search", "params": {"query": "whimbrels"}}
    for process in (0, 1):
        answer = await site.ask(tool_calls=[search], process=process)
        found = answer.one("tool_result")["data"]["results"][0]
        assert (found["path"], found["lines"], found["text"]) == ("guide.md", [1, 3], text)
    states = [await site.get("/retrieval/status", process=process) for process in (0, 1)]
    assert states[0] == states[1]
    count = states[0]["files"] + states[0]["skipped"]
    assert postgres.query("SELECT count(*) FROM retrieval_files", url=site.database) == [(count,)]
    assert not list(site.folder.rglob("indexes"))
    printed = await asyncio.to_thread(managed, site.folder, "search", "whimbrels", DATABASE_URL=site.database)
    assert "guide.md:1-3" in printed


async def test_old_records_are_pruned_while_the_service_runs(site: Site, postgres: Postgres) -> None:
    site.fake.play(saying("Old."), saying("New."))
    old = await site.ask(message="Once?")
    for statement in (
        "sessions SET updated = updated",
        "runs SET ended = ended",
        "tool_executions SET created = created",
    ):
        postgres.query(f"UPDATE {statement} - interval '40 days'", url=site.database)
    new = await site.ask(message="Now?")

    def command(*arguments: str) -> str:
        return managed(site.folder, *arguments, DATABASE_URL=site.database)

    sized, said = await asyncio.gather(
        asyncio.to_thread(command, "database_size"),
        asyncio.to_thread(command, "prune", "--older-than", "30d", "--yes", "--vacuum"),
    )
    assert "Average of the newest" in sized
    assert "The database was vacuumed." in said
    assert (await site.call("GET", old.headers["Content-Location"])).status == 404
    assert (await site.call("GET", new.headers["Content-Location"])).body == new.body
    assert (await site.get("/chat/sessions"))["count"] == 1
