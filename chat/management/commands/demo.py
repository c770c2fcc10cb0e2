"""`orchestrator demo`: the scripted tour in the terminal, with an approval."""

import os
import sys
from typing import Any, Final

from django.core.management.base import BaseCommand

SETTINGS: Final = {"DEFAULT_PROVIDER": "demo", "TOOL_POLICY": "ask fs.write"}
QUESTION: Final = "Show me what you can do."


class Command(BaseCommand):
    help = (
        "Show a scripted tour in the terminal: streaming, tools, an approval, and a change that is undone. It takes "
        "a minute, and needs no model and no key. DEFAULT_PROVIDER=demo shows it in a running service."
    )

    def handle(self, **_: Any) -> None:
        # Settings are read when a process starts. Without a person at a terminal, no approval could be given.
        changes = SETTINGS if sys.stdin.isatty() else {**SETTINGS, "TOOL_POLICY": ""}
        command = [sys.executable, sys.argv[0], "chat", QUESTION]
        os.execve(sys.executable, command, {**os.environ, **changes})  # noqa: S606 - no shell is wanted
