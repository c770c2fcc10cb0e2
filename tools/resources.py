"""The objects that all tools of this process share, made from its settings when they are first used."""

import asyncio
import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from retrieval.service import Retrieval
from speech.conf import service
from speech.service import SpeechService
from tools import conf
from tools.changes.log import ChangeStore
from tools.git.running import Runner
from tools.output.store import OutputStore
from tools.retrieval.indexes import configured_retrieval
from tools.sandbox.confinement import Confinement
from tools.sandbox.refusals import SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox
from tools.terminal.preparation import quarantine_of
from tools.workspace import Workspace
from tools.workspace.foreign import ForeignFolders
from tools.workspaces.scope import Workspaces

logger = logging.getLogger(__name__)


@cache
def workspaces() -> Workspaces:
    """Return the workspaces of this process. The folder of the root is made if it is missing."""
    limits, secret_names = conf.workspace_limits(), conf.secret_names()

    def open_workspace(base: Path) -> Workspace:
        workspace = Workspace(base, limits=limits, secret_names=secret_names)
        workspace.foreign = foreign_folders(workspace.base)
        return workspace

    return Workspaces(
        conf.workspace_base(), conf.workspace_scope(), open_workspace, conf.workspaces_lock(), conf.workspace_quota
    )


def foreign_folders(base: Path) -> ForeignFolders:
    """Return the folders of a workspace that were cloned. Their list lies outside of the workspace."""
    name = hashlib.sha256(os.fsencode(base)).hexdigest()
    return ForeignFolders(base, conf.output_folder() / "cloned" / name)


@cache
def outputs() -> OutputStore:
    """Return the store of long outputs."""
    return OutputStore(conf.output_folder(), conf.max_output_bytes())


@cache
def changes() -> ChangeStore:
    """Return the store of what runs changed."""
    return ChangeStore(conf.output_folder() / "changes", conf.undo_max_bytes())


@cache
def retrieval() -> Retrieval:
    """Return the indexes of workspaces."""
    return configured_retrieval()


def speech() -> SpeechService:
    """Return the speech service."""
    return service()


@cache
def why_no_git() -> str:
    """Return why git cannot run here, or an empty text. The first call runs git once, and blocks meanwhile."""
    return Runner(workspaces().root).why_unavailable()


@cache
def sandbox() -> Sandbox:
    """Return the sandbox for commands. What commands of an earlier process left behind is cleared up."""
    made = Sandbox()
    made.temporary_folders.sweep()
    moved = quarantine_of(workspaces().root.base, conf.terminal_limits().quarantine).recover()
    if moved:
        logger.warning("commands.cleared: moved out of the workspace after an interrupted command: %s", moved)
    return made


@cache
def command_places() -> asyncio.Semaphore:
    """Return the places for commands that run at the same time, in all workspaces."""
    return asyncio.Semaphore(conf.terminal_limits().max_at_once)


@cache
def commands_confinement() -> tuple[Confinement | None, str]:
    """Return the level that confines commands; or None, and the reason why commands cannot run here."""
    # A trial command shows whether the kernel enforces the level. `asyncio.run` needs a thread without a loop.
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(lambda: asyncio.run(sandbox().probe())).result(), ""
        except SandboxUnavailableError as error:
            return None, str(error)
