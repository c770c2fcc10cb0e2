"""The name of the program in messages, which can be pasted into any terminal."""

import shlex
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1]
"""The folder of the installation, which relative paths in settings are relative to."""

PROGRAM: Final = shlex.quote(str(FOLDER / "bin" / "orchestrator"))
