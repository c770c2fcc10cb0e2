"""A clone in a workspace, the host that it came from, and `git.create_pr`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spending.accounts import Payer
from tests.tools.forges.hosts import TOKEN, Host, Trap, running
from tests.tools.git.building import Built
from tests.tools.git.conftest import base as base
from tests.tools.git.conftest import confined as confined
from tests.tools.git.conftest import workspace as workspace
from tools.base import Execution, Tool
from tools.builtin import git_publish
from tools.forges.access import ForgeAccess
from tools.forges.allowed import AllowedRemotes, remotes
from tools.forges.proposal import Proposal, propose
from tools.git.running import Runner
from tools.output.masking import Masker
from tools.workspace import Deadline, Workspace

Publish = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Create a repository with two commits on `main`, and one more on `fix`."""
    built = Built.new(tmp_path_factory.mktemp("original") / "r")
    built.write("a.txt", "one\n")
    built.write("docs/b.txt", "one\n")
    built.commit("first")
    built.write("a.txt", "two\n")
    built.commit("second")
    built.git("switch", "--quiet", "--create", "fix")
    built.write("a.txt", "three\n")
    built.commit("third")
    built.git("update-ref", "refs/remotes/origin/main", "main")
    return built


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with running(Host(tmp_path / "host")) as host:
        yield host


@pytest.fixture
async def trap(base: Path, host: Host) -> AsyncIterator[Trap]:
    trap = Trap(base, host)
    server = await asyncio.start_server(trap.take, "127.0.0.1", 0)
    trap.port = server.sockets[0].getsockname()[1]
    yield trap
    server.close()


@pytest.fixture(scope="session")
def bare(original: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Make the repository as the host has it: bare, and without the branch `fix`."""
    path = tmp_path_factory.mktemp("bare") / "r.git"
    original.git("clone", "--quiet", "--bare", "--branch=main", "--single-branch", ".", str(path))
    made = Built(path)
    made.git("config", "http.receivepack", "true")
    return made


@pytest.fixture
def remote(host: Host, bare: Built) -> Built:
    """Add `acme/site` to the host."""
    return host.repository("acme/site", bare)


@pytest.fixture(scope="session")
def proposal(original: Built, tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    """Return the proposal of the branch `fix`."""
    folder = tmp_path_factory.mktemp("proposal")
    copy = Built.copy(original, folder / "r")
    copy.git("config", "remote.origin.url", "https://github.com/acme/site")
    workspace, private = Workspace(copy.folder), folder / "private"
    allowed = AllowedRemotes(remotes("github.com/acme/*"), {"github.com": TOKEN})
    made = propose(
        Runner(workspace), allowed, lambda _: set(), private, Deadline(30), path=".", base="main", head="fix"
    )
    workspace.close()
    return made


@pytest.fixture
def offer(publish: Publish, access: ForgeAccess, proposal: Proposal, host: Host, remote: Built) -> Publish:
    """Return a function that calls `git.create_pr` with a proposal that was approved."""

    async def run(kind: str = "github", **params: Any) -> Any:
        target = host.allowed(kind).target(f"{host.origin}/acme/site")
        preview = msgspec.structs.replace(proposal, target=target, **params.pop("changed", {}))
        given = msgspec.structs.replace(access, allowed=host.allowed(kind))
        return await publish(given, {"preview": preview}, **params)

    return run


@pytest.fixture
def repository(base: Path, original: Built, host: Host, remote: Built) -> Built:
    """Copy the repository to the workspace, with the host as its origin."""
    copy = Built.copy(original, base / "r")
    copy.configure(f'[remote "origin"]\n\turl = {host.origin}/acme/site.git')
    return copy


@pytest.fixture
def access(workspace: Workspace, host: Host, tmp_path: Path) -> ForgeAccess:
    secrets = Masker((TOKEN, "known-secret-of-the-service-1")).secrets
    return ForgeAccess(runner=Runner(workspace), allowed=host.allowed(), secrets=secrets, private=tmp_path / "private")


@pytest.fixture
def publish(access: ForgeAccess) -> Publish:
    """Return a function that calls `git.create_pr` for the branch `fix`."""

    async def run(given: ForgeAccess = access, execution: dict[str, Any] | None = None, **params: Any) -> Any:
        created = tool_of(given)
        values = created.params(**{"title": "Fix it", "body": "As asked.", "base": "main", "path": "r", **params})

        async def emit(*_: Any) -> None:
            pass

        return await created.run(values, Execution(payer=Payer(owner="alice"), emit=emit, **(execution or {})))

    return run


def tool_of(access: ForgeAccess) -> Tool:
    return git_publish.tools(access)[0]
