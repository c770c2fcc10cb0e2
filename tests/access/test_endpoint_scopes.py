"""Scopes at every endpoint of the OpenAPI document."""

import pytest

from access.scopes import WORDS
from tests.access.belongings import POLICY, model, request_endpoint
from tests.access.conftest import MakeKey
from tests.access.endpoints import ENDPOINTS
from tests.conftest import Start


@pytest.mark.parametrize("word", [*WORDS, "fs.read"])
async def test_scope_opens_only_its_endpoints(start: Start, make_key: MakeKey, word: str) -> None:
    alice = await make_key("alice", word)
    api = await start(model(), policy=POLICY)
    for where, endpoint in ENDPOINTS.items():
        answer = await request_endpoint(api, alice, where, endpoint)
        if not endpoint.scopes or word in endpoint.scopes:
            assert answer.status != 403, (where, answer.body)
        else:
            assert (answer.status, answer.code) == (403, "scope"), where
            assert " or ".join(endpoint.scopes) in str(answer.json()["error"])


async def test_without_a_key_every_endpoint_except_health_is_401(start: Start, make_key: MakeKey) -> None:
    await make_key("alice")
    api = await start(model())
    for method, path in ENDPOINTS:
        answer = await api.call(method.upper(), path.replace("{", "").replace("}", ""))
        assert answer.status in {401, 404}, path
    for method, path in ENDPOINTS:
        filled = "/".join(
            "01a204bc-4e7a-79ec-8c8b-159f994b660d" if part[:1] == "{" else part for part in path.split("/")
        )
        assert (await api.call(method.upper(), filled)).status == 401, path
    assert (await api.call("GET", "/healthz")).status == 200
