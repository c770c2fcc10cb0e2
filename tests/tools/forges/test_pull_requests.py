"""`git.create_pr` against git's own HTTP backend and fake APIs of forges, over sockets.

Covers `tools.builtin.git_publish`, `tools.forges.proposal`, `tools.forges.private_repository`, `tools.forges.transfer`,
`tools.forges.connection`, `tools.forges.forge`, `tools.forges.github` and `tools.forges.gitlab`.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chat.engine.model_port import ToolCall
from chat.providers.scripted import Scripted, text
from tests.chat.runs.live.test_suspension import CALLS as STOPS_FOR_CALLS
from tests.chat.runs.live.test_suspension import STOP, Following, decide
from tests.conftest import Start
from tests.managing import migrated
from tests.orchestrator_site.test_serve import ROOT, environment
from tests.tools.forges.conftest import Publish, tool_of
from tests.tools.forges.hosts import TOKEN, Host
from tests.tools.git.building import Built
from tools.base import ToolError
from tools.forges.access import ForgeAccess
from tools.forges.allowed import AllowedRemotes
from tools.forges.proposal import Proposal
from tools.registry import Registry

pytestmark = pytest.mark.slow

SECRET = "known-secret-of-the-service-1"


async def refusal(publish: Publish, *given: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ToolError) as error:
        await publish(*given, **params)
    return error.value.code, str(error.value)


@pytest.mark.parametrize("kind", ["github", "gitlab"])
async def test_branch_is_pushed_and_offered_once(
    offer: Publish, host: Host, remote: Built, proposal: Proposal, kind: str
) -> None:
    made = await offer(kind, draft=True, labels=["bug", "docs"])
    again = await offer(kind)

    assert (made.created, made.number, made.url) == (True, 1, f"{host.origin}/pull/1")
    assert (again.created, again.number) == (False, 1)
    assert remote.git("rev-parse", "fix") == made.head_sha == proposal.head_sha
    assert remote.git("rev-parse", "main") == proposal.base_sha
    assert len(host.pulls) == 1
    pull = host.pulls[0]
    if kind == "github":
        assert (pull["title"], pull["draft"], host.labels) == ("Fix it", True, ["bug", "docs"])
    else:
        assert (pull["title"], pull["labels"]) == ("Draft: Fix it", "bug,docs")
    assert sum("receive-pack" in line for line in host.requests) == 2


@pytest.mark.parametrize("kind", ["github", "gitlab"])
async def test_pull_request_of_a_fork_is_another_one(offer: Publish, host: Host, kind: str) -> None:
    host.add_pull("fix", "main", owner="mallory")

    made = await offer(kind)
    again = await offer(kind)

    assert (made.created, made.number, again.created, again.number) == (True, 2, False, 2)


async def test_call_whose_api_request_failed_after_the_push_makes_exactly_one(
    offer: Publish, host: Host, remote: Built, proposal: Proposal
) -> None:
    host.statuses["/api/repos/acme/site/pulls"] = 500
    assert (await refusal(offer))[0] == "failed"
    assert remote.git("rev-parse", "fix") == proposal.head_sha
    assert host.pulls == []

    made = await offer()
    again = await offer()

    assert (made.created, again.created, len(host.pulls)) == (True, False, 1)


async def test_process_that_is_killed_after_the_push_makes_exactly_one(
    host: Host, remote: Built, repository: Built, tmp_path: Path
) -> None:
    variables = environment(
        migrated(tmp_path),
        ALLOW_FS_BASE=str(repository.folder.parent),
        GIT_REMOTES_ALLOWED=f"github:{host.origin}/acme/*={host.origin}/api",
        GIT_TOKENS=f"127.0.0.1:{host.port}={TOKEN}",
    )
    params = {"title": "Fix it", "body": "As asked.", "base": "main", "head": "fix", "path": "r"}
    words = [f"--param={name}={value}" for name, value in params.items()]
    command = [sys.executable, "manage.py", "run_tool", "git.create_pr", *words, "--yes", "--json"]

    host.holds = True
    killed = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=variables, stdout=-3, stderr=-3)
    async with asyncio.timeout(60):
        await host.held.wait()
    killed.kill()
    await killed.wait()
    assert remote.git("rev-parse", "fix") == repository.head
    assert host.pulls == []

    host.holds = False
    again = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=variables, stdout=-1, stderr=-1)
    said, problem = await again.communicate()
    assert again.returncode == 0, problem.decode()
    assert json.loads(said)["created"]
    assert len(host.pulls) == 1


async def test_branch_grows_and_nothing_is_left_of_a_call(
    publish: Publish, remote: Built, repository: Built, access: ForgeAccess
) -> None:
    remote.git("fetch", "--quiet", str(repository.folder), "fix:fix")
    repository.write("c.txt")
    repository.commit("fourth")

    made = await publish()

    assert remote.git("rev-parse", "fix") == made.head_sha == repository.head
    assert list(access.private.iterdir()) == []
    assert not any(
        TOKEN.encode() in path.read_bytes() for path in repository.folder.parent.rglob("*") if path.is_file()
    )


async def test_branch_with_other_commits_on_the_forge_is_never_forced(offer: Publish, remote: Built) -> None:
    other = remote.git("commit-tree", "main^{tree}", "-p", "main", "-m", "other")
    remote.git("update-ref", "refs/heads/fix", other)

    code, message = await refusal(offer)

    assert (code, "would be lost" in message) == ("conflict", True)
    assert remote.git("rev-parse", "fix") == other


async def test_merge_of_the_base_into_the_branch_is_offered(publish: Publish, remote: Built, repository: Built) -> None:
    repository.git("switch", "--quiet", "--create", "late", "main~1")
    repository.write("docs/c.txt")
    repository.commit("side")
    repository.git("merge", "--quiet", "--no-edit", "main")

    made = await publish()

    assert remote.git("rev-parse", "late") == made.head_sha


async def test_preview_shows_what_is_sent(access: ForgeAccess, repository: Built) -> None:
    repository.write("binary", b"\0\1\2")
    repository.write(".gitattributes", "*.txt -diff\n")
    repository.commit("fourth")
    tool = tool_of(access)

    preview = await tool.preview(tool.params(title="x", body="", base="main", path="r"))

    assert preview is not None
    assert preview.shown["head_sha"] == repository.head
    assert preview.shown["base_sha"] == repository.git("rev-parse", "main")
    assert (preview.shown["commits"], preview.shown["files"]) == (2, 3)
    assert "-two\n+three\n" in preview.shown["diff"]
    assert "Binary content" in preview.shown["diff"]
    assert TOKEN not in repr(preview)


async def test_commits_that_were_not_shown_are_not_sent(offer: Publish, remote: Built) -> None:
    code, message = await refusal(offer, changed={"base_sha": "1" * 40})

    assert (code, "does not have the commit" in message) == ("conflict", True)
    assert remote.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"


async def test_moved_base_of_the_forge_is_not_an_obstacle(offer: Publish, remote: Built) -> None:
    tree = remote.git("rev-parse", "main^{tree}")
    remote.git("update-ref", "refs/heads/main", remote.git("commit-tree", tree, "-p", "main", "-m", "moved"))

    assert (await offer()).created


CALLS: list[tuple[dict[str, str], str, str]] = [
    ({"base": "fix"}, "invalid_params", "both"),
    ({"base": "-f"}, "invalid_params", "not the name"),
    ({"head": "nowhere"}, "not_found", "no branch"),
    ({"base": "nowhere"}, "not_found", "no branch"),
    ({"head": "same"}, "conflict", "No changes"),
    ({"body": f"see {TOKEN}"}, "not_allowed", "has a secret"),
]


async def test_calls_that_cannot_be_meant_are_refused(publish: Publish, host: Host, repository: Built) -> None:
    repository.git("branch", "same", "main")

    for params, code, words in CALLS:
        found, message = await refusal(publish, **params)
        assert (found, words in message) == (code, True), message

    repository.git("switch", "--quiet", "--detach")
    assert "detached" in (await refusal(publish))[1]
    assert host.requests == []


async def test_branches_that_the_forge_protects_are_not_pushed_to(offer: Publish, host: Host, remote: Built) -> None:
    assert (await refusal(offer, changed={"head": "main", "base": "main"}))[0] == "not_allowed"
    assert (await refusal(offer, changed={"base": "other"}))[0] == "not_found"
    assert not any("receive-pack" in line for line in host.requests)


async def test_secret_in_an_earlier_commit_is_refused(publish: Publish, host: Host, repository: Built) -> None:
    repository.write("c.txt", f"token = {SECRET}\n")
    repository.commit("add")
    repository.write("c.txt", "\n")
    repository.commit("remove")

    code, message = await refusal(publish)

    assert code == "not_allowed"
    assert SECRET not in message
    assert host.requests == []


async def test_files_that_the_policy_denies_are_not_sent(
    publish: Publish, host: Host, proposal: Proposal, repository: Built
) -> None:
    denied = {"permits": lambda path: path != "a.txt", "preview": proposal}

    assert (await refusal(publish, execution=denied))[0] == "denied"
    assert host.requests == []


async def test_refusals_of_the_host_are_reported(offer: Publish, host: Host) -> None:
    for path, status, code in (
        ("info/refs", 401, "not_allowed"),
        ("info/refs", 302, "failed"),
        ("/git-receive-pack", 500, "failed"),
        ("/pulls", 403, "not_allowed"),
        ("/pulls", 404, "not_found"),
        ("/pulls", 302, "failed"),
    ):
        host.statuses[path] = status
        found, message = await refusal(offer)
        assert found == code
        assert TOKEN not in message
    assert "/stolen" not in "".join(host.requests)


async def test_hook_of_the_forge_that_refuses_a_push_is_reported(offer: Publish, remote: Built) -> None:
    hook = remote.write("hooks/pre-receive", "#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    code, message = await refusal(offer)

    assert (code, "pre-receive hook declined" in message) == ("conflict", True)


async def test_without_a_token_nothing_is_sent(
    publish: Publish, access: ForgeAccess, host: Host, repository: Built
) -> None:
    for allowed in (host.allowed(token=""), host.allowed("git"), AllowedRemotes()):
        given = msgspec.structs.replace(access, allowed=allowed)
        assert (await refusal(publish, given))[0] == "not_allowed"
    assert host.requests == []


@pytest.mark.parametrize("moves", [False, True])
async def test_model_opens_a_pull_request_after_the_approval_of_its_difference(
    start: Start, access: ForgeAccess, host: Host, repository: Built, moves: bool
) -> None:
    arguments = '{"title": "Fix", "body": "", "base": "main", "path": "r"}'
    call = ToolCall(call_id="c1", name="git.create_pr", arguments=arguments)
    api = await start(Scripted([call, STOPS_FOR_CALLS], [text("Done."), STOP]), tools=Registry((tool_of(access),)))

    async with api.open({"message": "Offer it."}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        shown = await api.get(f"/tools/executions/{waits['execution_id']}")
        assert "-two\n+three\n" in shown["params"]["preview"]["diff"]
        assert host.requests == []
        if moves:
            repository.commit("later")
        await decide(api, waits)
        found = await stream.rest()

    outcome = next(event for event in found if event["type"] in {"tool_result", "tool_error"})
    assert outcome.get("code") == ("conflict" if moves else None)
    assert len(host.pulls) == (not moves)
    kept = await api.get(f"/tools/executions/{waits['execution_id']}")
    assert TOKEN not in f"{stream.body!r} {kept}"
