"""The objects that all tools of this process share, made from its settings when they are first used."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from tools import conf
from tools.git.running import Runner
from tools.output.store import OutputStore
from tools.sandbox.confinement import Confinement
from tools.sandbox.refusals import SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox
from tools.terminal.preparation import quarantine_of
from tools.workspace import Workspace

logger = logging.getLogger(__name__)


@cache
def workspace() -> Workspace:
    """Return the workspace of this process. Its folder is made if it is missing."""
    base = conf.workspace_base()
    base.mkdir(parents=True, exist_ok=True)
    return Workspace(base, limits=conf.workspace_limits(), secret_names=conf.secret_names())


@cache
def outputs() -> OutputStore:
    """Return the store of long outputs."""
    return OutputStore(conf.output_folder(), conf.max_output_bytes())


@cache
def git_runner() -> Runner:
    """Return the runner of git in the workspace."""
    return Runner(workspace())


@cache
def sandbox() -> Sandbox:
    """Return the sandbox for commands. What commands of an earlier process left behind is cleared up."""
    made = Sandbox()
    made.temporary_folders.sweep()
    moved = quarantine_of(workspace().base, conf.terminal_limits().quarantine).recover()
    if moved:
        logger.warning("commands.cleared: moved out of the workspace after an interrupted command: %s", moved)
    return made


@cache
def commands_confinement() -> tuple[Confinement | None, str]:
    """Return the level that confines commands; or None, and the reason why commands cannot run here."""
    # A trial command shows whether the kernel enforces the level. `asyncio.run` needs a thread without a loop.
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(lambda: asyncio.run(sandbox().probe())).result(), ""
        except SandboxUnavailableError as error:
            return None, str(error)
