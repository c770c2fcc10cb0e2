"""The git tools of a workspace, made from the settings."""

from tools import conf, resources
from tools.base import Tool
from tools.builtin import git, git_clone, git_publish, git_write
from tools.forges.access import ForgeAccess
from tools.git.running import Runner
from tools.workspace import Workspace


def git_tools(workspace: Workspace) -> tuple[Tool, ...]:
    """Return the git tools of a workspace. The first call runs git once."""
    runner, allowed = Runner(workspace), conf.allowed_remotes()
    disabled = resources.why_no_git() if conf.git_enabled() else "ENABLE_GIT is false"
    access = ForgeAccess(
        runner=runner,
        allowed=allowed,
        secrets=conf.masker().secrets,
        private=conf.git_folder(),
        max_clone_bytes=conf.max_clone_bytes(),
    )
    no_remote = disabled or ("" if allowed else "GIT_REMOTES_ALLOWED is empty")
    return (
        *git.tools(runner, disabled=disabled),
        *git_write.tools(runner, conf.git_identity(), disabled=disabled),
        *git_clone.tools(access, disabled=no_remote),
        *git_publish.tools(access, disabled=no_remote),
    )
