"""A folder without some of its content: as few subtrees as possible, none of which contains withheld files."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.sandbox import subtrees
from tools.sandbox.policy import Part
from tools.sandbox.subtrees import open_part, parts_without

NAMES = st.sampled_from(["a", "b", "keep"])
TREES = st.recursive(st.just(None), lambda below: st.dictionaries(NAMES, below, max_size=3), max_leaves=12)


def divided(handle: int, withheld: str = "keep") -> tuple[set[str], bool]:
    """Return the paths of the subtrees, and whether they are complete."""
    found = parts_without(handle, lambda entry: entry.name == withheld, lambda: False)
    return {"/".join(part.names) or "." for part in found.parts}, found.complete


def make(base: Path, *paths: str) -> None:
    for path in paths:
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).touch()


def test_folder_with_nothing_to_withhold_is_one_subtree(base: Path, handle: int) -> None:
    make(base, "a/b", "c")

    assert divided(handle) == ({"."}, True)


def test_folder_is_divided_only_along_the_path_to_withheld_files(base: Path, handle: int) -> None:
    make(base, "a/b/keep/x", "a/b/c", "a/d/e", "f", "g/h")

    assert divided(handle) == ({"a/b/c", "a/d", "f", "g"}, True)


def test_links_are_not_subtrees(base: Path, handle: int) -> None:
    make(base, "keep", "a/b")
    (base / "link").symlink_to("keep")
    (base / "folder-link").symlink_to("/etc")

    assert divided(handle) == ({"a"}, True)


@pytest.mark.parametrize("bound", ["MAX_WALKED", "MAX_DEPTH"])
def test_subtree_beyond_a_bound_is_left_out(
    bound: str, base: Path, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subtrees, bound, 2)
    make(base, "a/b/c/keep", "d")

    assert divided(handle) == ({"d"}, False)


def test_huge_folder_does_not_use_up_the_bound_of_the_others(
    base: Path, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subtrees, "MAX_WALKED", 6)
    make(base, *(f"huge/{number}" for number in range(20)), "small/a")

    assert divided(handle) == ({"small"}, False)


def test_no_folder_is_entered_after_the_deadline(base: Path, handle: int) -> None:
    make(base, "a")

    assert parts_without(handle, lambda entry: False, lambda: True) == ([], False)


def test_subtree_is_not_opened_through_a_link(base: Path, handle: int) -> None:
    make(base, "a/b")
    (base / "link").symlink_to("a")

    with pytest.raises(NotADirectoryError):
        open_part(Part(handle, ("link", "b")), os.O_PATH)
    opened = open_part(Part(handle, ("a", "b")), os.O_PATH)
    assert os.path.samestat(os.fstat(opened), (base / "a/b").stat())
    os.close(opened)


def grow(base: Path, tree: dict[str, object] | None) -> None:
    if tree is None:
        base.touch()
        return
    base.mkdir()
    for name, below in tree.items():
        grow(base / name, below)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(NAMES, TREES, max_size=3))
def test_subtrees_contain_every_file_except_the_withheld_ones(
    tree: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("tree") / "tree"
    grow(base, tree)
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    found, complete = divided(handle)
    os.close(handle)
    files = {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}
    held = {file for file in files for part in found if part in {".", file} or file.startswith(f"{part}/")}

    assert complete
    assert held == {file for file in files if "keep" not in file.split("/")}
