"""Worker processes: their command."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator_site.serving.workers import Worker


def test_worker_does_not_repeat_the_system_checks_of_its_parent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], **_: Any) -> None:
        started.append(command)

    monkeypatch.setattr(subprocess, "Popen", start)
    Worker(SimpleNamespace(fileno=lambda: 3), tmp_path)
    assert started[0][2:] == ["serve", "--skip-checks", "--worker", "3", "--numbers", str(tmp_path)]
