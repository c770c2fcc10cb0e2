"""OpenAI's embeddings with its real client, and the model of this machine; bad input first.

Covers `chat.api.openai.embeddings`.
"""

from typing import Any

import openai
import pytest

from chat.providers.scripted import Scripted
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.chat.api.openai.test_completions import client_of as client_of
from tests.conftest import Start
from tools import resources

BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"input": []}, 400, "input"),
    ({"input": ""}, 400, "input"),
    ({"input": [1, 2]}, 400, "input"),
    ({"input": ["x"] * 257}, 400, "input"),
    ({"input": "x" * 32_001}, 400, "input"),
    ({"model": "text-embedding-3-small"}, 404, "text-embedding-3-small"),
    ({"dimensions": 8}, 400, "dimensions"),
    ({"encoding_format": "hex"}, 400, "encoding_format"),
    ({"extra": 1}, 400, "extra"),
]


async def test_bad_requests_are_errors_in_the_shape_of_openai(start: Start) -> None:
    api = await start(Scripted())
    for changes, status, named in BAD:
        body = {"model": "default", "input": "Hi", **changes}
        answer = await api.call("POST", "/v1/embeddings", json=body)
        assert (answer.status, named in answer.json()["error"]["message"]) == (status, True), changes


async def test_key_needs_the_scope_of_retrieval(start: Start, make_key: MakeKey) -> None:
    api = await start(Scripted())
    key = await make_key("chats", "chat")
    body = {"model": "default", "input": "Hi"}
    assert (await api.call("POST", "/v1/embeddings", json=body, headers=key.headers)).status == 403


async def test_client_of_openai_gets_vectors_of_the_local_model(start: Start, client_of: Any) -> None:
    client = client_of(await start(Scripted()))
    texts = ["The cat sleeps.", "A kitten is asleep.", "Interest rates rise."]
    # The client asks for base64, and decodes it itself.
    made = await client.embeddings.create(model="default", input=texts)
    cat, kitten, rates = (one.embedding for one in made.data)
    assert made.model == resources.retrieval().reader.model
    assert sum(x * x for x in cat) == pytest.approx(1, abs=1e-3)
    near, far = (sum(x * y for x, y in zip(cat, other, strict=True)) for other in (kitten, rates))
    assert near > far + 0.2
    plain = await client.embeddings.create(model="default", input=texts[0], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(cat, abs=1e-6)


async def test_retrieval_that_is_off_makes_no_vectors(start: Start, client_of: Any, settings: Any) -> None:
    settings.ENABLE_RETRIEVAL = False
    client = client_of(await start(Scripted()))
    with pytest.raises(openai.PermissionDeniedError, match="ENABLE_RETRIEVAL"):
        await client.embeddings.create(model="default", input="Hi")
