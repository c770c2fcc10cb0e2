"""The figures of the structure, on small trees and on the project itself."""

import json
from pathlib import Path

import pytest

from scripts import structure
from scripts.structure import Structure

SOURCE = '''\
"""A module."""
from typing import overload

class Run:
    """A run."""

    def start(self):
        # The lock comes first: the journal reads the state.
        return self._opened() + _twice() + _twice()

    @overload
    def stop(self): ...

    def _opened(self):
        return 1

def _twice():
    return 2

def _again():
    return _again()
'''


@pytest.fixture
def tree(tmp_path: Path) -> Structure:
    chat = tmp_path / "chat"
    (chat / "management" / "commands").mkdir(parents=True)
    (chat / "__init__.py").touch()
    (chat / "management" / "commands" / "chat.py").touch()
    (chat / "runs.py").write_text(SOURCE, encoding="utf-8")
    (chat / "models.py").write_text("import chat.runs\nfrom chat import runs\n", encoding="utf-8")
    (tmp_path / "tests").mkdir()
    return Structure.of(tmp_path, ("chat",))


def test_folders_count_modules_without_packages_and_commands(tree: Structure) -> None:
    assert [(folder.name, folder.count) for folder in tree.folders] == [("chat", 2)]


def test_classes_count_methods_without_overloads(tree: Structure) -> None:
    assert [(found.name, found.count) for found in tree.classes] == [("chat.runs.Run", 2)]


def test_imports_count_each_project_module_once(tree: Structure) -> None:
    counts = {module.name: module.count for module in tree.imports}
    assert counts["chat.models"] == 1  # chat.runs, and not its package
    assert counts["chat.runs"] == 0


def test_only_a_private_helper_with_one_call_from_outside_itself_is_counted(tree: Structure) -> None:
    assert [helper.note for helper in tree.helpers] == ["_opened"]
    assert tree.helper_share == pytest.approx(1 / 5)


def test_comments_are_a_share_of_the_lines_of_code(tree: Structure) -> None:
    assert [str(comment) for comment in tree.comments] == [
        "chat/runs.py:8: The lock comes first: the journal reads the state."
    ]
    assert tree.code_lines == 14


def test_module_is_tested_if_a_test_is_named_after_it_or_names_it(tree: Structure, tmp_path: Path) -> None:
    assert [module.note for module in tree.untested] == ["chat.runs"]
    (tmp_path / "tests" / "test_kept.py").write_text("from chat import runs\n", encoding="utf-8")
    assert Structure.of(tmp_path, ("chat",)).untested == []


def test_each_limit_that_is_passed_is_reported(tree: Structure, monkeypatch: pytest.MonkeyPatch) -> None:
    assert structure.exceeded(tree) == [
        "helpers called once: 20.0% of functions (at most 15%)",
        "chat.runs: no test file is named after it or names it",
    ]
    monkeypatch.setattr(structure, "MAX_MODULES", 1)
    monkeypatch.setattr(structure, "MAX_METHODS", 1)
    monkeypatch.setattr(structure, "MAX_IMPORTS", 0)
    monkeypatch.setattr(structure, "MIN_COMMENTS", 0.5)
    assert len(structure.exceeded(tree)) == 6


@pytest.mark.slow
def test_command_prints_json_of_one_app(capsys: pytest.CaptureFixture[str]) -> None:
    assert structure.main(["--json", "--app", "scripts"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["fullest_folders"] == {"scripts": 7}
    assert figures["docstring_openers"] >= 0


def test_command_lists_the_places_of_one_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert structure.main(["--list", "comments", "--app", "scripts"]) == 0
    assert "scripts/prose.py:" in capsys.readouterr().out
