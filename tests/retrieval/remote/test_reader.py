"""Vectors from an embedding service: its faults, its costs, and indexes whose vectors it makes.

Covers `access.network.outgoing_proxy`, `retrieval.remote.client`, `retrieval.remote.service`.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from retrieval.base import DocumentError, ServiceError
from retrieval.indexes.base import Indexes
from retrieval.remote import client
from retrieval.service import Hits, Retrieval
from spending.accounts import Payer
from tests.retrieval.remote.embedding_vendor import KEY, Bookings, EmbeddingVendor, reader_of, service_at
from tests.retrieval.sources import Files, WordReader
from tests.speech.vendor import Reply, json_reply, vendor

WORKSPACE = Path("/workspaces/alice")
ALICE = Payer(owner="user:1", key="7")
NOW = {"Retry-After": "0"}


@pytest.fixture
async def fake() -> AsyncIterator[EmbeddingVendor]:
    made = EmbeddingVendor()
    async with vendor(made):
        yield made


async def vectors(fake: EmbeddingVendor, bookings: Bookings, *texts: str) -> list[bytes]:
    reader = reader_of(service_at(fake.url), bookings.of)
    return await asyncio.to_thread(reader.vectors, texts, ALICE)


async def search(retrieval: Retrieval, files: Files, query: str) -> Hits:
    return await asyncio.to_thread(lambda: retrieval.search(WORKSPACE, files, query, lambda _: True, 10, payer=ALICE))


def rows(*embeddings: Any) -> dict[str, Any]:
    return {"data": [{"embedding": embedding} for embedding in embeddings]}


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (json_reply({"error": {"message": f"Incorrect API key: {KEY}"}}, 401), "401: it refuses the key"),
        (json_reply({"error": {"message": "no model two words"}}, 404), "404: it does not have the model"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}), "answered 302"),
        (Reply(status=429, headers={"Retry-After": "3600"}), "429: it allows no more requests now"),
        (Reply(status=503, headers={"Retry-After": "inf"}), "answered 503"),
        (json_reply({}), "no vectors"),
        (json_reply([]), "no vectors"),
        (Reply(pieces=(b"\xff\xfe",)), "no vectors"),
        (Reply(pieces=(b'{"data": ' + b"[" * 100_000,)), "no vectors"),
        (Reply(pieces=(b'{"other": ' + b"[" * 100_000,)), "no vectors"),
        (json_reply(rows([1.0])), "one vector for each text"),
        (json_reply({"data": [{"index": 0, "embedding": [1.0]}] * 2}), "one vector for each text"),
        (json_reply({"data": [{"index": at, "embedding": [1.0]} for at in (1, 2)]}), "one vector for each text"),
        (json_reply(rows([1.0], [1.0, 2.0])), "different dimensions"),
        (json_reply(rows([], [])), "different dimensions"),
        (json_reply(rows([1.0] * 8_193, [1.0] * 8_193)), "different dimensions"),
        (json_reply(rows([1.0], ["1"])), "no vectors"),
        (json_reply(rows([1.0], [0.0])), "without a direction"),
        (Reply(pieces=(b'{"data": [{"embedding": [1]}, {"embedding": [1e999]}]}',)), "no vectors"),
    ],
)
async def test_fault_of_the_service_is_a_sentence_without_the_key(
    fake: EmbeddingVendor, caplog: pytest.LogCaptureFixture, reply: Reply, problem: str
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.play(reply)
    bookings = Bookings()
    with pytest.raises(ServiceError) as error:
        await vectors(fake, bookings, "two", "words")
    assert problem in str(error.value)
    assert KEY not in str(error.value) + caplog.text
    assert len(fake.asked) == 1
    if "direction" not in problem:
        assert bookings.settled == [0]


async def test_answer_that_is_too_large_or_too_slow_ends(
    fake: EmbeddingVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 1_000)
    fake.play(Reply(pieces=(b" " * 2_000,), ending="silence"))
    with pytest.raises(ServiceError, match="more than 1000 bytes"):
        await vectors(fake, Bookings(), "a")
    monkeypatch.setattr(client, "SECONDS", 0.05)
    fake.play(Reply(ending="silent from the start"))
    bookings = Bookings()
    with pytest.raises(ServiceError, match="did not answer in time"):
        await vectors(fake, bookings, "a")
    assert bookings.settled == [0]


async def test_failed_attempts_are_repeated_up_to_a_limit(
    fake: EmbeddingVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.play(Reply(status=429, headers=NOW), Reply(status=500, headers=NOW))
    bookings = Bookings()
    assert len(await vectors(fake, bookings, "a b c")) == 1
    assert (bookings.booked, bookings.settled, bookings.payers) == ([9], [3], [ALICE])
    fake.play(*[Reply(status=502, headers=NOW)] * 3)
    with pytest.raises(ServiceError, match="502"):
        await vectors(fake, bookings, "a")
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)
    fake.play(*[Reply(pieces=(b"{",), ending="cut")] * 3)
    with pytest.raises(ServiceError, match="cannot be reached"):
        await vectors(fake, bookings, "a")
    assert len(fake.asked) == 9


async def test_request_has_the_key_the_query_of_the_url_and_all_texts(fake: EmbeddingVendor) -> None:
    made = await vectors(fake, Bookings(), "buy a car", "weather", "purchase a vehicle")
    (asked,) = fake.asked
    assert asked.path == "/v1/embeddings?api-version=1"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {"model": "words", "input": ["buy a car", "weather", "purchase a vehicle"]}
    assert made[0] == made[2] != made[1]
    assert {len(vector) for vector in made} == {32}


async def test_text_that_is_too_long_for_the_model_is_cut(fake: EmbeddingVendor) -> None:
    fake.play(json_reply({"error": {"message": "at most 512 tokens"}}, 400))
    assert len(await vectors(fake, Bookings(), "short", "long " * 200)) == 2
    assert [max(map(len, asked.body["input"])) for asked in fake.asked] == [1_000, 300]
    fake.play(*[json_reply({}, 400)] * 2)
    with pytest.raises(ServiceError, match="400: it refuses the request"):
        await vectors(fake, Bookings(), "long " * 200)
    assert len(fake.asked) == 4


async def test_damaged_certificate_is_a_sentence(tmp_path: Path) -> None:
    damaged = tmp_path / "ca.pem"
    damaged.write_text("no certificate")
    for file in (damaged, tmp_path / "gone.pem"):
        bookings = Bookings()
        reader = reader_of(service_at("https://127.0.0.1:9", ca_file=file), bookings.of)
        with pytest.raises(ServiceError, match="certificate or a key of PROVIDERS_FILE is damaged"):
            await asyncio.to_thread(reader.vectors, ["a"], ALICE)
        assert bookings.settled == [0]


async def test_unreachable_service_leaves_a_search_by_words(indexes: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        bookings = Bookings()
        retrieval = Retrieval(indexes, reader_of(service_at(url), bookings.of))
        found = await search(retrieval, Files(a__md="buy a car", b__md="an automobile"), "car")
    assert [hit.path for hit in found.hits] == ["a.md"]
    assert found.missing == (
        "Only words are searched: The embedding service openai cannot be reached (ClientConnectorError)."
    )
    # The query is not sent after the texts have failed.
    assert len(bookings.booked) == 1


async def test_service_that_is_not_configured_is_never_asked(fake: EmbeddingVendor, indexes: Indexes) -> None:
    service = service_at(fake.url, missing="OPENAI_API_KEY is not set")
    retrieval = Retrieval(indexes, reader_of(service, Bookings().of))
    found = await search(retrieval, Files(a__md="a car"), "car")
    assert (found.by_vectors, found.missing) == (False, "Only words are searched: OPENAI_API_KEY is not set.")
    assert fake.asked == []


async def test_texts_of_many_files_are_sent_together_and_found_by_meaning(
    fake: EmbeddingVendor, indexes: Indexes
) -> None:
    retrieval = Retrieval(indexes, reader_of(service_at(fake.url), Bookings().of))
    files = Files(a__md="buy a car", b__md="an automobile", c__md="weather today")
    found = await search(retrieval, files, "car")
    assert [hit.path for hit in found.hits][:2] == ["a.md", "b.md"]
    assert (found.by_vectors, found.missing) == (True, "")
    assert [len(asked.body["input"]) for asked in fake.asked] == [3, 1]


async def test_vectors_of_another_model_or_of_other_dimensions_are_made_again(
    fake: EmbeddingVendor, indexes: Indexes
) -> None:
    files = Files(a__md="buy a car", b__md="an automobile")
    local = Retrieval(indexes, WordReader())
    await search(local, files, "car")
    remote = Retrieval(indexes, reader_of(service_at(fake.url), Bookings().of))
    for retrieval, dimensions in ((remote, 32), (remote, 48), (local, 384), (remote, 16)):
        fake.dimensions = dimensions
        if dimensions == 48:
            # Unchanged files need no vectors, so a service that changes is noticed at the next text.
            files.contents["c.md"] = "weather today"
        found = await search(retrieval, files, "car")
        assert [hit.path for hit in found.hits][:2] == ["a.md", "b.md"]
        assert found.missing == ""
        assert retrieval.status(WORKSPACE).totals.embedded == len(files.contents)


async def test_service_whose_dimensions_alternate_does_not_use_up_the_budget(
    fake: EmbeddingVendor, indexes: Indexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieval = Retrieval(indexes, reader_of(service_at(fake.url), Bookings().of))
    answer = fake.answer

    def alternating(texts: list[str]) -> dict[str, Any]:
        fake.dimensions = 80 - fake.dimensions
        return answer(texts)

    monkeypatch.setattr(fake, "answer", alternating)
    files = Files(**{f"f{at}__md": f"words {at}" for at in range(200)})
    with pytest.raises(DocumentError, match="dimensions"):
        await asyncio.to_thread(retrieval.update, WORKSPACE, files)
    assert len(fake.asked) == 4


async def test_query_of_other_dimensions_has_the_vectors_made_again(fake: EmbeddingVendor, indexes: Indexes) -> None:
    retrieval = Retrieval(indexes, reader_of(service_at(fake.url), Bookings().of))
    files = Files(a__md="buy a car", b__md="an automobile")
    await search(retrieval, files, "car")
    fake.dimensions = 48
    assert "0 of 2 pieces have vectors so far" in (await search(retrieval, files, "car")).missing
    found = await search(retrieval, files, "car")
    assert ([hit.path for hit in found.hits], found.missing) == (["a.md", "b.md"], "")
