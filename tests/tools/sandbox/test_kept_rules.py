"""Commands in a folder with many files beside a secret: they share one Landlock ruleset until something changes."""

import gc
from pathlib import Path

import pytest

from tests.handles import open_handles
from tools.sandbox import kept_rules
from tools.sandbox.division import Division
from tools.sandbox.sandbox import Sandbox
from tools.workspace.confinement.names import SecretNames

RULESET = "anon_inode:[landlock-ruleset]"


@pytest.fixture(autouse=True)
def keep_every_ruleset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rules, "MANY_PARTS", 1)


@pytest.fixture
def base(base: Path) -> Path:
    for name in ("a", "b", ".env"):
        (base / name).write_text(f"text of {name}")
    return base


async def seen(sandbox: Sandbox, division: Division, handle: int) -> str:
    """Return what a command reads of all files."""
    parts = division.readable(with_git=False).parts
    outcome = await sandbox.run(
        ("grep", "-rhs", "text", "."), cwd_handle=handle, listable_handles=(handle,), readable_parts=parts
    )
    return " ".join(sorted(outcome.stdout.head.decode().split("\n")))


async def test_kept_ruleset_follows_each_change(base: Path, handle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    allow_parts = kept_rules.allow_parts
    monkeypatch.setattr(kept_rules, "allow_parts", lambda *given: (made.append(given), allow_parts(*given)))
    sandbox, division = Sandbox(), Division(handle, SecretNames())
    for _ in range(2):
        assert await seen(sandbox, division, handle) == " text of a text of b"
    assert len(made) == 1
    (base / "a").rename(base / "id_rsa")
    assert await seen(sandbox, division, handle) == " text of b"
    (base / "id_rsa").rename(base / "c")
    assert await seen(sandbox, division, handle) == " text of a text of b"
    (base / "d").symlink_to(".env")
    (base / "e").mkdir()
    (base / "e" / "f").write_text("text of f")
    assert await seen(sandbox, division, handle) == " text of a text of b text of f"
    (base / "e").rename(base / ".ssh")
    assert await seen(sandbox, division, handle) == " text of a text of b"


async def test_command_with_a_kept_ruleset_reads_no_temporary_folder_of_another(
    base: Path, handle: int, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    sandbox, division = Sandbox(temporary_beneath=tmp_path / "temporary"), Division(handle, SecretNames())
    assert await seen(sandbox, division, handle)
    async with sandbox.temporary_folders.new() as other:
        (other / "note").write_text("text of another")
        parts = division.readable(with_git=False).parts
        arguments = ("cat", str(other / "note"), str(base / "a"))
        outcome = await sandbox.run(arguments, cwd_handle=handle, readable_parts=parts)
    assert outcome.stdout.head == b"text of a"


async def test_unused_rulesets_are_released(handle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A ruleset of an earlier test must not be closed meanwhile, and give its number to this one.
    gc.collect()
    before = open_handles(RULESET)
    sandbox, division = Sandbox(), Division(handle, SecretNames())
    assert await seen(sandbox, division, handle)
    kept = open_handles(RULESET) - before
    assert len(kept) == 1
    sandbox._kept_rules.release()
    assert not kept & open_handles(RULESET)
