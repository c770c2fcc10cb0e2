"""The git tools of a workspace, made from the settings."""

from tools import conf, resources
from tools.base import Tool
from tools.builtin import git, git_write
from tools.git.running import Runner
from tools.workspace import Workspace


def git_tools(workspace: Workspace) -> tuple[Tool, ...]:
    """Return the git tools of a workspace. The first call runs git once."""
    runner = Runner(workspace)
    disabled = resources.why_no_git() if conf.git_enabled() else "ENABLE_GIT is false"
    return (
        *git.tools(runner, disabled=disabled),
        *git_write.tools(runner, conf.git_identity(), disabled=disabled),
    )
