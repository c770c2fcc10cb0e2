"""Reloading on SIGHUP: the first process executes its program again, with the new code and settings.

It keeps its process id and its listening socket, so a supervisor sees one process and no client is refused.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

SIGNAL: Final = signal.SIGHUP
CHECK_SECONDS: Final = 60
MAX_ERROR_CHARS: Final = 2_000

LISTENING: Final = "--listening"
"""The first of the options that are added to the command line. All that follows it is added again at each reload."""


def is_possible() -> bool:
    """Return whether SIGHUP means a reload: not under `nohup`, and not when it means that the terminal is gone."""
    if signal.getsignal(SIGNAL) is signal.SIG_IGN and LISTENING not in sys.argv:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return True
    return False


def passes_check() -> bool:
    """Return whether the new code and settings pass `check`, in a process of their own. If not, log why."""
    command = [sys.executable, sys.argv[0], "check"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.error("reload.refused", extra={"error": str(error)})  # noqa: TRY400 - the error says it all
        return False
    if done.returncode:
        logger.error("reload.refused", extra={"error": done.stderr.strip()[-MAX_ERROR_CHARS:]})
    return done.returncode == 0


def execute(listening: socket.socket, numbers: Path | None = None, workers: Iterable[int] = ()) -> None:
    """Replace this process by its program, which takes over the socket, the folder of metrics and the workers."""
    given = sys.argv[: sys.argv.index(LISTENING)] if LISTENING in sys.argv else sys.argv
    added = [LISTENING, str(listening.fileno())]
    if numbers is not None:
        added += ["--numbers", str(numbers), "--retiring", *map(str, workers)]
    listening.set_inheritable(True)
    # Ignored until the new program is ready for it. The default would end the process.
    signal.signal(SIGNAL, signal.SIG_IGN)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *given, *added])  # noqa: S606 - no shell is wanted
