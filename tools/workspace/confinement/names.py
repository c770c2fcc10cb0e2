"""The refusal of protected names by file tools."""

from tools.base import ToolError
from tools.sandbox.protection.names import NOT_SECRETS as NOT_SECRETS
from tools.sandbox.protection.names import SECRETS as SECRETS
from tools.sandbox.protection.names import SecretPatterns
from tools.sandbox.protection.names import folded as folded
from tools.sandbox.protection.names import is_git as is_git
from tools.sandbox.protection.names import is_workspaces as is_workspaces
from tools.workspace.confinement.paths import Parts, joined, shown


def refuse_hidden(parts: Parts) -> None:
    """Raise `ToolError` (`not_allowed`) if a path contains git's own folder, or that of the callers' workspaces."""
    if any(map(is_workspaces, parts)):
        raise ToolError(
            f"{shown(joined(parts))} names the folder of the callers' workspaces, which no tool opens.",
            code="not_allowed",
        )
    if any(map(is_git, parts)):
        raise ToolError(
            f"{shown(joined(parts))} names git's own folder, which no file tool opens: use the git tools.",
            code="not_allowed",
        )


def is_hidden(name: str) -> bool:
    """Return whether listings leave an entry out."""
    return is_git(name) or is_workspaces(name)


class SecretNames(SecretPatterns):
    """The names of files that are never read, searched or written."""

    def refuse(self, parts: Parts) -> None:
        """Raise `ToolError` (`not_allowed`) if a path contains the name of a secret."""
        if self.cover(parts):
            raise ToolError(
                f"{shown(joined(parts))} has the name of a secret, which no file tool reads or writes.",
                code="not_allowed",
            )
