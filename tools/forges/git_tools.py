"""The git tools of a workspace, made from the settings."""

from tools import conf, resources
from tools.base import Tool
from tools.builtin import git, git_publish, git_write
from tools.builtin.git_publish import Publisher
from tools.git.running import Runner
from tools.workspace import Workspace


def git_tools(workspace: Workspace) -> tuple[Tool, ...]:
    """Return the git tools of a workspace. The first call runs git once."""
    runner, allowed = Runner(workspace), conf.allowed_remotes()
    disabled = resources.why_no_git() if conf.git_enabled() else "ENABLE_GIT is false"
    publisher = Publisher(runner=runner, allowed=allowed, secrets=conf.masker().secrets, private=conf.git_folder())
    return (
        *git.tools(runner, disabled=disabled),
        *git_write.tools(runner, conf.git_identity(), disabled=disabled),
        *git_publish.tools(publisher, disabled=disabled or ("" if allowed else "GIT_REMOTES_ALLOWED is empty")),
    )
