"""The tools of this service, from its settings. Adding a tool: its file in `builtin/`, and its line here."""

from functools import cache
from typing import Final

from tools import conf
from tools.builtin import fs, output, patch
from tools.execution import Toolset
from tools.outputs import OutputStore
from tools.registry import Registry
from tools.workspace import Workspace

FILES_HIDE: Final = "all that is not beneath ALLOW_FS_BASE, git's own folders, and files with the name of a secret"
FILES_CANNOT_HIDE: Final = "a secret in a file with an ordinary name, but for what has the shape of one"


@cache
def workspace() -> Workspace:
    """The one workspace of this process; its folder is made where it is missing."""
    base = conf.workspace_base()
    base.mkdir(parents=True, exist_ok=True)
    return Workspace(base, limits=conf.workspace_limits(), secret_names=conf.secret_names())


@cache
def outputs() -> OutputStore:
    """Where this process keeps long outputs."""
    return OutputStore(conf.output_folder(), conf.max_output_bytes())


@cache
def registry() -> Registry:
    """Every tool that this process has."""
    return Registry((*fs.tools(workspace()), *patch.tools(workspace()), *output.tools(outputs())))


@cache
def toolset() -> Toolset:
    """All that the doors of this process have in common."""
    return Toolset(
        registry=registry(),
        policy=conf.policy(),
        masker=conf.masker(),
        outputs=outputs(),
        result_bytes=conf.result_bytes(),
        approval_seconds=conf.approval_seconds(),
    )


def confinement() -> dict[str, dict[str, object]]:
    """For each kind of tool that is confined: its level, what that keeps away, and what it cannot."""
    return {
        "files": {
            "level": str(workspace().confinement),
            "hides": [FILES_HIDE],
            "cannot_hide": [FILES_CANNOT_HIDE],
        },
    }
