"""`git.create_pr`: offer a branch of a repository in the workspace as a pull request."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from tools.base import Execution, Facets, Preview, Tool, ToolError, plain_facets, tool
from tools.builtin.git_write import BranchText, FolderPath
from tools.committing.branch_names import current_branch
from tools.forges.access import ForgeAccess
from tools.forges.allowed import Target
from tools.forges.connection import Connection, connected
from tools.forges.forge import Forge, NewPullRequest, PullRequest
from tools.forges.github import GitHub
from tools.forges.gitlab import GitLab
from tools.forges.proposal import Proposal, propose
from tools.forges.transfer import GitRemote
from tools.workspace import Deadline, in_thread
from tools.workspace.naming import implied_paths, stated_paths

MAX_TITLE: Final = 250
MAX_BODY: Final = 50_000
MAX_LABELS: Final = 20
MAX_SECONDS: Final = 120.0
FORGES: Final[dict[str, Callable[[Connection, Target, str], Forge]]] = {"github": GitHub, "gitlab": GitLab}

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class PullRequestResult(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request. It is not `created` if there was an open one for the same branches."""

    url: str
    number: int
    created: bool
    head: str
    head_sha: str
    base: str
    note: str = ""


async def create_pr(
    access: ForgeAccess,
    execution: Execution,
    /,
    *,
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TITLE)],
    body: Annotated[str, msgspec.Meta(max_length=MAX_BODY, description="What the change does, in Markdown.")],
    base: Annotated[BranchText, msgspec.Meta(description="The branch of the forge that is to get the change.")],
    head: Annotated[BranchText, msgspec.Meta(description="The local branch to offer; by default, the current one.")]
    | None = None,
    draft: bool = False,
    labels: Annotated[list[Label], msgspec.Meta(max_length=MAX_LABELS)] | None = None,
    path: FolderPath = ".",
) -> PullRequestResult:
    """Push a branch to the forge that the repository was cloned from, and open a pull request (a merge request) for it.

    Commit first. An open pull request of the same branches is updated and returned. The base branch is never pushed
    to, nothing is forced, and nothing is merged. A branch with a secret in any commit is refused.
    """
    if access.secrets(f"{title}\n{body}"):
        raise ToolError("The title or the body has a secret: send them without it.", code="not_allowed")
    proposal = execution.preview
    if not isinstance(proposal, Proposal):
        proposal = await _proposal(access, path=path, base=base, head=head)
    permits = access.runner.workspace.permits
    if permits and not all(map(permits, proposal.paths)):
        raise ToolError("TOOL_POLICY does not let this call use one of its files.", code="denied")
    token = access.allowed.token(proposal.target)
    async with connected(proposal.target.remote.host) as connection:
        forge = FORGES[proposal.target.remote.kind](connection, proposal.target, token)
        await _push(GitRemote(connection, proposal.target, token), proposal)
        # After a crash, or if the call is made again, the pull request may exist already.
        found = await forge.find(proposal.head, proposal.base)
        if found is not None:
            return _result(proposal, found, created=False)
        new = NewPullRequest(
            title=title, body=body, head=proposal.head, base=proposal.base, draft=draft, labels=tuple(labels or ())
        )
        made = await forge.create(new)
        if made is not None:
            return _result(proposal, made, created=True)
        found = await forge.find(proposal.head, proposal.base)
        if found is None:
            raise ToolError("The forge reports that the pull request exists, but does not list it.", code="failed")
        return _result(proposal, found, created=False)


def tools(access: ForgeAccess, *, disabled: str = "") -> tuple[Tool, ...]:
    """Return the tool that publishes branches of a workspace. It is off for the `disabled` reason."""
    workspace = access.runner.workspace

    def facets(params: Any) -> Facets:
        stated = {**plain_facets(params), "path": stated_paths(workspace, (params.path,))}
        return {"head": current_branch(workspace, params.path), **stated}

    def implied(params: Any) -> Facets:
        return {"path": implied_paths(workspace, (params.path,))}

    return (
        tool(
            "git.create_pr",
            "network",
            create_pr,
            access,
            confinement=access.runner.confinement,
            disabled=disabled,
            facets=facets,
            implied=implied,
            files=("fs.read",),
            preview=_preview,
        ),
    )


async def _preview(access: ForgeAccess, /, *, path: str, base: str, head: str | None, **_: Any) -> Preview:
    proposal = await _proposal(access, path=path, base=base, head=head)
    return Preview(shown=proposal.shown, value=proposal)


async def _proposal(access: ForgeAccess, *, path: str, base: str, head: str | None) -> Proposal:
    deadline = Deadline(MAX_SECONDS)

    def work() -> Proposal:
        return propose(
            access.runner,
            access.allowed,
            access.secrets,
            access.private,
            deadline,
            path=path,
            base=base,
            head=head,
        )

    return await in_thread(work, deadline)


async def _push(remote: GitRemote, proposal: Proposal) -> None:
    """Make the head branch of the forge that of the proposal, if it is not so already. Raises `ToolError`."""
    refs = await remote.advertised()
    tip, old = refs.branch(proposal.base), refs.branch(proposal.head)
    if not tip:
        raise ToolError(f"The forge has no branch {proposal.base}: name one of its branches as base.", code="not_found")
    if proposal.head == refs.default:
        raise ToolError(
            f"{proposal.head} is the default branch of the forge, which is never pushed to: commit to another one.",
            code="not_allowed",
        )
    # The changes were compared with this commit. If the forge did not have it, more would be sent than was shown.
    known = proposal.base_sha in refs.refs.values() or await remote.has(tip, proposal.base_sha)
    if not known:
        raise ToolError(
            f"The forge does not have the commit {proposal.base_sha[:12]}, from which {proposal.head} branches off: "
            f"{proposal.base} here is not that of the forge.",
            code="conflict",
        )
    if old == proposal.head_sha:
        return
    if old and old not in proposal.ancestors:
        raise ToolError(
            f"{proposal.head} has other commits on the forge, which would be lost: commit to a new branch.",
            code="conflict",
        )
    await remote.push(proposal.head, old, proposal.head_sha, proposal.pack)


def _result(proposal: Proposal, found: PullRequest, *, created: bool) -> PullRequestResult:
    return PullRequestResult(
        url=found.url,
        number=found.number,
        created=created,
        head=proposal.head,
        head_sha=proposal.head_sha,
        base=proposal.base,
        note=found.note,
    )
