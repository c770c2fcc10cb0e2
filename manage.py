#!/usr/bin/env python
"""The service's command line: `bin/orchestrator help` lists what it can do."""

import os
import sys
from pathlib import Path


def run() -> None:
    # Names on the disk and in arguments are UTF-8, whatever the locale says. Python decides this as it starts, so it is
    # started again (PEP 540). The variable is also a mark that this was tried: the option `-X utf8=0` overrides it.
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the command is its own
    try:
        from command_line.main import main  # noqa: PLC0415 - Django may be missing too

        main()
    except ModuleNotFoundError as error:
        if "--traceback" in sys.argv:
            raise
        folder = Path(__file__).resolve().parent
        sys.exit(
            f"Error: {sys.executable} does not have the package {error.name}. Run the first command of "
            f"{folder}/README.md there, which installs it, and then {folder}/bin/orchestrator."
        )


if __name__ == "__main__":
    run()
