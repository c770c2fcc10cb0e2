"""The sample workspace, with which a new service has something to read, search and change."""

import shutil
from contextlib import suppress
from typing import Final

from command_line.program import FOLDER
from tools import conf

SAMPLE: Final = FOLDER / "sample_workspace"


def place_sample() -> None:
    """Copy the sample into a workspace that is new or empty. Files of others are never touched."""
    workspace = conf.workspace_base()
    # A folder that cannot be written can still be read by tools.
    with suppress(OSError):
        workspace.mkdir(parents=True, exist_ok=True)
        if any(workspace.iterdir()):
            return
        for path in sorted(path for path in SAMPLE.iterdir() if path.is_file()):
            # Only the content: the files of an installation may be read-only.
            shutil.copyfile(path, workspace / path.name)
