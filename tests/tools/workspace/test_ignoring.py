"""Files that `.gitignore` names are left out of listings and searches, unless the call asks for them."""

from pathlib import Path
from typing import Any

import pytest

from tools.builtin import fs
from tools.workspace import Limits, Workspace

FILES = (
    "a.log",
    "keep.log",
    "src/a.py",
    "src/b.log",
    "src/deep/important.log",
    "build/out.py",
    "src/build/in.py",
    "node_modules/p/index.js",
    "src/node_modules/q.js",
)
RULES = "# comment\nnode_modules\n*.log\n!keep.log\n/build/\n[z-a\n\\\n"
SHOWN = [".gitignore", "keep.log", "src/.gitignore", "src/a.py", "src/build/in.py", "src/deep/important.log"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("needle\n")
    (tmp_path / ".gitignore").write_text(RULES)
    (tmp_path / "src/.gitignore").write_text("!important.log\n")
    return tmp_path


async def listed(base: Path, **params: Any) -> list[str]:
    result = await fs.list_(Workspace(base), recursive=True, **params)
    return [entry.path for entry in result.entries if entry.type == "file"]


async def test_ignored_files_are_left_out(base: Path) -> None:
    assert await listed(base) == SHOWN
    assert len(await listed(base, ignored=True)) == len(FILES) + 2
    found = await fs.search(Workspace(base), pattern="needle")
    assert [match.path for match in found.matches] == [name for name in SHOWN if "gitignore" not in name]
    everything = await fs.search(Workspace(base), pattern="needle", ignored=True)
    assert sorted(match.path for match in everything.matches) == sorted(FILES)


async def test_rules_of_the_folders_above_apply_to_a_subfolder(base: Path) -> None:
    assert await listed(base, path="src") == [name for name in SHOWN if name.startswith("src/")]


async def test_ignored_folder_is_listed_when_it_is_named(base: Path) -> None:
    assert await listed(base, path="node_modules") == ["node_modules/p/index.js"]
    assert await listed(base, path="node_modules/p") == ["node_modules/p/index.js"]


@pytest.mark.parametrize("rules", [b"\xff\xfe*", b"x" * 100_000, b"*a" * 100 + b"b\n"])
async def test_hostile_rules_end_quickly_and_hide_nothing_else(tmp_path: Path, rules: bytes) -> None:
    (tmp_path / ".gitignore").write_bytes(rules)
    (tmp_path / ("a" * 200)).touch()
    assert len(await listed(tmp_path)) == 2


async def test_link_named_gitignore_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("*\n")
    (tmp_path / ".gitignore").symlink_to("rules")
    assert await listed(tmp_path) == ["rules"]


async def test_nearest_folders_are_visited_first(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"a/{number}").mkdir(parents=True)
        (tmp_path / f"a/{number}/x").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / "src/needle.py").touch()
    result = await fs.list_(Workspace(tmp_path, limits=Limits(max_walked=60)), glob="**/*.py")
    assert ([entry.path for entry in result.entries], result.truncated) == (["src/needle.py"], True)
