"""Hostile repositories one by one: the token reaches no other address, no child, no file, no log and no answer."""

import asyncio
import base64
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tools.forges.conftest import Publish
from tests.tools.forges.hostile import HOSTILE, REFUSED, TAKES_EFFECT, WITHOUT_EFFECT
from tests.tools.forges.hosts import TOKEN, Trap
from tests.tools.forges.test_hostile import STRUCTURES
from tests.tools.git.building import Built
from tools.base import ToolError
from tools.git.process import Process
from tools.sandbox.policy import Policy

pytestmark = pytest.mark.slow

SECRETS = (TOKEN, base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode())
STARTS = {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.system"}
RECORDED: list[list[str]] = []


def _record(event: str, values: tuple[Any, ...]) -> None:
    if event in STARTS:
        for record in RECORDED:
            record.append(repr(values))


@pytest.fixture(scope="module", autouse=True)
def _recorder() -> None:
    # A hook cannot be removed; without a list to fill, it does nothing.
    sys.addaudithook(_record)


class Recorded:
    """The children that were started, each with its arguments and environment, and the log."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.children: list[str] = []
        self.log = log


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Recorded]:
    """Record what this process starts, and the git that its launchers start."""
    caplog.set_level(logging.DEBUG)
    record = Recorded(caplog)
    send = Process.send

    def sent(process: Process, policy: Policy) -> None:
        record.children.append(policy.encode().decode())
        send(process, policy)

    monkeypatch.setattr(Process, "send", sent)
    RECORDED.append(record.children)
    yield record
    RECORDED.remove(record.children)


def test_set_of_hostile_repositories_is_large_enough() -> None:
    assert len(HOSTILE) == len(WITHOUT_EFFECT) + len(REFUSED)
    # The one with everything that `test_hostile` puts into one repository counts too.
    assert len(HOSTILE) + len(STRUCTURES) + 1 >= 55


@pytest.mark.parametrize("name", HOSTILE)
async def test_token_stays_with_the_host(
    publish: Publish, repository: Built, trap: Trap, recorded: Recorded, name: str
) -> None:
    head = repository.head
    HOSTILE[name](repository, trap)
    recorded.children.clear()
    if name in REFUSED:
        with pytest.raises(ToolError) as error:
            await publish()
        shown = f"{error.value} {error.value.__cause__!r}"
    else:
        made = await publish()
        assert made.created
        assert made.head_sha == head or "entry" in name or "submodule" in name
        shown = str(made)

    assert not trap.mark.exists()
    assert (trap.connections, trap.received) == (0, b"")
    for secret in SECRETS:
        assert secret not in shown + recorded.log.text + "".join(recorded.children)
    assert recorded.children
    files = (path for path in trap.host.folder.parent.rglob("*") if path.is_file() and not path.is_symlink())
    assert not any(secret.encode() in path.read_bytes() for path in files for secret in SECRETS)

    if name in TAKES_EFFECT:
        for words in (["ls-remote", "origin"], ["push", "--dry-run"], ["switch", "--quiet", "main"]):
            await asyncio.to_thread(repository.run, words)
        assert trap.mark.exists() or trap.connections
