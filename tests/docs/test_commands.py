"""The commands of all pages and messages: each exists, takes its arguments, and needs nothing of an older terminal."""

import json
import re
import shlex
import shutil
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import call_command, get_commands

from command_line.main import CommandLine
from command_line.program import PROGRAM
from orchestrator_site.sample import SAMPLE
from scripts.source import ROOT, source_modules
from tests.docs.test_howto import DOCUMENTS
from tools.resources import workspaces

PAGES: Final = [*DOCUMENTS, ROOT / ".env.example", ROOT / "sample_workspace" / "README.md"]
GIVEN: Final = re.compile(r"bin/orchestrator((?: +(?:\"[^\"\n]*\"|'[^'\n]*'|[^`\s\"')]+))*)")
"""A command in a page, up to the end of its line or of its inline code."""

STAND_INS: Final = {"ID": "01a22283-9deb-73a8-8e2f-967317ce2094", "NAME": "name", "$POSTGRES_URL": "postgres://h/d"}
FETCHED: Final = 'export PATH="$PATH:$PWD/.uv/bin"; '


def commands(text: str) -> list[list[str]]:
    """Return the words of each command, with values in place of what a reader fills in."""
    found = [shlex.split(words) for words in GIVEN.findall(text)]
    return [[STAND_INS.get(word, word) for word in words] for words in found if words]


def check(words: list[str]) -> None:
    """Parse the arguments of a command as the command line does. A wrong one raises `CommandError`."""
    if words[0] == "--env-file":
        words = words[2:]
    name, *arguments = words
    if name == "help":
        return
    assert name in get_commands(), words
    if arguments:
        parser = CommandLine(["orchestrator"]).fetch_command(name).create_parser("orchestrator", name)
        parser.called_from_command_line = False
        parser.parse_args(arguments)


@pytest.fixture(autouse=True)
def unchanged(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command_line.main.restrict", lambda _: None)
    monkeypatch.setattr("command_line.main.connection_created.connect", lambda _: None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_exist_and_take_their_arguments(page: Path) -> None:
    for words in commands(page.read_text()):
        check(words)


def test_commands_are_found_in_pages() -> None:
    found = commands((ROOT / "README.md").read_text())
    assert ["run_tool", "fs.read", "--param", "path=README.md"] in found
    assert ["chat", "What is the capital of France?"] in found
    assert len(commands((ROOT / "docs" / "operations.md").read_text())) > 5


@pytest.mark.django_db(transaction=True)
def test_tool_of_the_readme_reads_the_sample() -> None:
    (words,) = [words for words in commands((ROOT / "README.md").read_text()) if words[0] == "run_tool"]
    placed = workspaces().root.base / "README.md"
    shutil.copyfile(SAMPLE / "README.md", placed)
    try:
        out = StringIO()
        call_command(*words, stdout=out, stderr=StringIO())
        assert json.loads(out.getvalue())["content"].startswith("# A sample workspace")
    finally:
        placed.unlink()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_needs_no_program_that_a_new_terminal_lacks(page: Path) -> None:
    for line in page.read_text().splitlines():
        if "uv run" in line and page.name != "CHANGELOG.md":
            assert line.startswith(FETCHED), line
        if "python manage.py" in line:
            assert line.startswith((FETCHED, "ExecStart=/")), line


def test_messages_name_the_program_by_its_path() -> None:
    assert PROGRAM.endswith("/bin/orchestrator")
    found = {
        module.place: names
        for module in source_modules()
        if module.place.partition("/")[0] not in {"benchmarks", "scripts"}
        and (names := re.findall(r"manage\.py \w+|uv run|(?<![{}/`])\borchestrator (?:serve|create\w+)", module.text))
    }
    assert found == {}
