"""Records of Alice do not exist for Bob at any endpoint of the OpenAPI document. Charlie may audit them."""

import pytest

from tests.access.belongings import POLICY, belongings, model, request_endpoint
from tests.access.conftest import MakeKey
from tests.access.endpoints import ENDPOINTS, OPEN, documented
from tests.conftest import Start


def test_every_endpoint_is_covered() -> None:
    assert documented() == set(ENDPOINTS) | OPEN


FILES = ("files.read", "files.write")


@pytest.mark.parametrize(
    "words", [("chat", "approve", "speech", "tools", *FILES), ("chat", "approve", "keys", "tools", *FILES)]
)
async def test_records_of_another_owner_are_404(start: Start, make_key: MakeKey, words: tuple[str, ...]) -> None:
    alice, bob = await make_key("alice"), await make_key("bob", *words)
    api = await start(model(), policy=POLICY)
    hers = await belongings(api, alice)
    for where, endpoint in ENDPOINTS.items():
        if endpoint.kind in {"unowned", "list"}:
            continue
        real = await request_endpoint(api, bob, where, endpoint, hers)
        made_up = await request_endpoint(api, bob, where, endpoint)
        assert (real.status, real.body) == (404, made_up.body), where
        assert made_up.status == 404, where
    for where, endpoint in ENDPOINTS.items():
        if endpoint.kind == "list":
            assert (await request_endpoint(api, bob, where, endpoint)).json()["items"] == [], where
            assert (await request_endpoint(api, alice, where, endpoint)).json()["items"], where
    for path in (f"/tools/executions?session_id={hers.session}", f"/tools/executions?run_id={hers.run}"):
        assert (await api.get(path, headers=bob.headers))["count"] == 0
        assert (await api.get(path, headers=alice.headers))["count"] == 1


async def test_records_are_visible_to_every_key_of_their_owner(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice")
    api = await start(model(), policy=POLICY)
    hers = await belongings(api, alice)
    for where, endpoint in ENDPOINTS.items():
        if endpoint.kind != "unowned":
            answer = await request_endpoint(api, alice, where, endpoint, hers)
            assert answer.status == endpoint.opens_with, (where, answer.body)


async def test_auditor_reads_everything_and_changes_nothing(start: Start, make_key: MakeKey) -> None:
    alice, charlie = await make_key("alice"), await make_key("charlie", "audit")
    api = await start(model(), policy=POLICY)
    hers = await belongings(api, alice)
    for where, endpoint in ENDPOINTS.items():
        answer = await request_endpoint(api, charlie, where, endpoint, hers)
        if not endpoint.scopes or "audit" in endpoint.scopes:
            assert answer.status == (200 if endpoint.scopes else endpoint.opens_with), where
            if endpoint.kind != "unowned":
                assert answer.body == (await request_endpoint(api, alice, where, endpoint, hers)).body, where
        else:
            assert (answer.status, answer.code) == (403, "scope"), where
    assert (await api.get(f"/chat/sessions/{hers.session}", headers=alice.headers))["title"] == "Hi"
    assert len((await api.get("/tools", headers=charlie.headers))["items"]) > 5


async def test_auditor_with_all_scopes_changes_only_its_own_records(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice"), await make_key("bob", "audit", "chat", "approve", "tools", *FILES)
    api = await start(model(), policy=POLICY)
    hers = await belongings(api, alice)
    for where, endpoint in ENDPOINTS.items():
        if endpoint.kind not in {"unowned", "list"} and where[0] != "get":
            assert (await request_endpoint(api, bob, where, endpoint, hers)).status == 404, where
