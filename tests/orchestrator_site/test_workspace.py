"""`orchestrator workspace`: the workspaces on disk, and what may be done with them.

Covers `orchestrator_site.management.commands.workspace`.
"""

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from access.keys import issuing
from access.models import ApiKey
from retrieval.service import Retrieval
from tests.retrieval.sources import Files, WordReader
from tools import resources
from tools.resources import workspaces
from tools.retrieval.indexes import configured_indexes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folder() -> Iterator[None]:
    yield
    shutil.rmtree(workspaces().folder, ignore_errors=True)


@pytest.fixture
def owner() -> str:
    """Return the owner of a key, whose workspace has one file."""
    asked = issuing.validated(timezone.now(), name="alice", words=("chat",))
    row = issuing.issue(asked, timezone.now()).row
    workspaces().at(row.owner).write("a.txt", b"plover")
    return row.owner


def workspace(*arguments: str) -> str:
    said = io.StringIO()
    call_command("workspace", *arguments, stdout=said, stderr=io.StringIO())
    return said.getvalue()


def listed(*arguments: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(workspace(*arguments, "--json"))["items"]
    return items


def test_unknown_owner_is_refused_with_the_valid_ones(owner: str) -> None:
    for action in ("size", "path", "export"):
        with pytest.raises(CommandError, match=owner):
            workspace(action, "user:99")


def test_workspaces_are_listed_with_owners_and_sizes(owner: str) -> None:
    root, alice = listed("list")
    assert (root["owner"], alice["owner"], alice["files"], alice["bytes"]) == ("operator", owner, 1, 6)
    assert listed("size", owner) == [alice]
    assert f"(key:{ApiKey.objects.get().id})" in workspace("list")
    assert Path(workspace("path", owner).strip()) == Path(alice["path"])


def test_export_writes_the_files_once(owner: str, tmp_path: Path) -> None:
    workspace("export", owner, "--output", str(tmp_path / "files.tar.gz"))
    with tarfile.open(tmp_path / "files.tar.gz") as found:
        assert found.getnames() == ["a.txt"]
    with pytest.raises(CommandError, match="could not be exported"):
        workspace("export", owner, "--output", str(tmp_path / "files.tar.gz"))


def test_only_workspaces_without_an_owner_are_pruned(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = workspaces().at("key:00000000-0000-0000-0000-000000000000")
    gone.write("old.txt", b"x")
    assert [Path(one["path"]) for one in listed("prune")] == [gone.base]
    assert gone.base.is_dir()
    retrieval = Retrieval(configured_indexes(), WordReader())
    monkeypatch.setattr(resources, "retrieval", lambda: retrieval)
    retrieval.update(gone.base, Files(old__txt="text of its files"))
    workspace("prune", "--yes")
    assert not gone.base.exists()
    assert retrieval.status(gone.base).totals.files == 0
    assert workspaces().at(owner).read_bytes("a.txt") == b"plover"
