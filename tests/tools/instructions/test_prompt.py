"""The instructions of a workspace in the system prompt: hostile files first.

Covers `tools.instructions.skill`, `chat.starting.system_prompt`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from pytest_django import Settings

from chat.engine.model_port import Finished, ToolCall
from chat.providers.scripted import Scripted, text
from tests.conftest import Start
from tools import conf
from tools.instructions import prompt
from tools.instructions.prompt import INTRODUCTION, MAX_CHARACTERS, MAX_FOLDERS, MAX_SKILLS, described
from tools.instructions.skill import MAX_HEAD, skill_of
from tools.policy import PolicyInput, parse
from tools.resources import workspaces
from tools.workspace import Deadline, Workspace

SKILL = "---\nname: {0}\ndescription: Fill {0} forms.\n---\nThe body.\n"
STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
Put = Callable[[str, str | bytes], None]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    return tmp_path / "base"


@pytest.fixture
def put(base: Path) -> Put:
    """Return a function that writes a file, and its folders."""

    def write(path: str, content: str | bytes) -> None:
        file = base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


@pytest.fixture
def workspace(base: Path) -> Iterator[Workspace]:
    opened = Workspace(base)
    yield opened
    opened.close()


def lines(workspace: Workspace, permits: Callable[[str], bool] = lambda _: True, seconds: float = 30) -> list[str]:
    """Return the lines about the files of a workspace."""
    found = described(workspace, permits, Deadline(seconds)).splitlines()
    assert found[:1] in ([INTRODUCTION], [])
    return [line for line in found if line.startswith("- ")]


YAML_BOMB = "a: &a {k: v}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 40)}]}}\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("", "front matter"),
        ("# A title\n", "front matter"),
        ("---\nname: pdf\ndescription: x\n", "front matter"),
        ("\n---\nname: pdf\ndescription: x\n---\n", "front matter"),
        ("x" * MAX_HEAD, "front matter"),
        ("---\n---\n", "name"),
        ("---\n[a, b]\n---\n", "name"),
        ("---\njust text\n---\n", "name"),
        ("---\nname: other\ndescription: x\n---\n", "name"),
        ("---\nname: [pdf]\ndescription: x\n---\n", "name"),
        ("---\nname: pdf\n---\n", "description"),
        ("---\nname: pdf\ndescription:\n---\n", "description"),
        ("---\nname: pdf\ndescription: '  '\n---\n", "description"),
        ("---\nname: pdf\ndescription: {a: b}\n---\n", "description"),
        (f"---\nname: pdf\ndescription: {'x' * 1_025}\n---\n", "description"),
        ("---\nname: pdf\ndescription: a: b\n---\n", "YAML"),
        ("---\nname: 'pdf\n---\n", "YAML"),
        ("---\nname: !!python/object/apply:os.system [id]\n---\n", "name"),
        ("---\n" + "[" * 4_000 + "\n---\n", "YAML"),
        (f"---\n{YAML_BOMB}---\n", "name"),
        ("---\nname: pdf\ndescription: \0\n---\n", "YAML"),
        ("---\n%YAML 9.9\n---\nname: pdf\n---\n", "YAML"),
    ],
)
def test_skill_that_is_not_valid_says_why(head: str, problem: str) -> None:
    found = skill_of("pdf", head.encode())
    assert found.description == ""
    assert problem in found.problem


def test_description_is_one_visible_line() -> None:
    text = "---\nname: pdf\ndescription: >\n  Fill forms.\n  Use it for\u202e PDFs.\nmetadata: {a: '1'}\n---\n# Body\n"
    assert skill_of("pdf", text.encode()).description == "Fill forms. Use it for\\u202e PDFs."
    for ends in ("\r\n", "\n"):
        lines = ends.join(["\ufeff---", "name: pdf", 'description: "a: b"', "allowed-tools: Bash(*)", "---", "x"])
        assert skill_of("pdf", lines.encode()).description == "a: b"


def test_skills_and_general_instructions_are_named_without_their_contents(workspace: Workspace, put: Put) -> None:
    put("AGENTS.md", "\n# Our rules\nThe secret rule.\n")
    put("deep/AGENTS.md", "# Not in the root\n")
    put("skills/pdf/SKILL.md", SKILL.format("pdf"))
    put("skills/broken/SKILL.md", "The body.")
    put(".agents/skills/tables/SKILL.md", SKILL.format("tables"))
    put("skills/README.md", "x")
    put("skills/empty/other.md", "x")
    problem = f"it must begin with front matter between two lines ---, of at most {MAX_HEAD} bytes"
    assert lines(workspace) == [
        "- AGENTS.md (30 bytes, 'Our rules'): read it before you work with the files.",
        f"- skills/broken/SKILL.md cannot be used: {problem}.",
        "- skills/pdf/SKILL.md: Fill pdf forms.",
        "- .agents/skills/tables/SKILL.md: Fill tables forms.",
    ]


def test_workspace_without_instructions_adds_nothing(workspace: Workspace, put: Put) -> None:
    put("skills/notes.txt", "x")
    assert described(workspace, lambda _: True, Deadline(30)) == ""


@pytest.mark.parametrize(
    "name",
    ["PDF", "-pdf", "pdf-", "a--b", "x" * 65, "a b", "a.b", "ünder", "a\nb", "a\x1b[2J", ".git", ".env", "a\u202eb"],
)
def test_folder_with_another_name_is_no_skill(workspace: Workspace, put: Put, name: str) -> None:
    put(f"skills/{name}/SKILL.md", SKILL.format("pdf"))
    assert lines(workspace) == []


def test_links_lead_nowhere_else(workspace: Workspace, base: Path, put: Put, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "SKILL.md").write_text(SKILL.format("one"))
    (outside / "AGENTS.md").write_text("# Outside\n")
    (base / "AGENTS.md").symlink_to(outside / "AGENTS.md")
    put("skills/real/SKILL.md", SKILL.format("real"))
    (base / "skills" / "one").symlink_to("../../outside")
    (base / "skills" / "loop").symlink_to("loop")
    put("skills/pipe/x", "x")
    os.mkfifo(base / "skills" / "pipe" / "SKILL.md")
    (base / ".agents").symlink_to(outside)
    assert lines(workspace) == ["- skills/real/SKILL.md: Fill real forms."]


def test_files_that_the_caller_may_not_read_are_left_out(workspace: Workspace, put: Put) -> None:
    put("AGENTS.md", "x")
    put("skills/open/SKILL.md", SKILL.format("open"))
    put("skills/closed/SKILL.md", SKILL.format("closed"))
    found = lines(workspace, lambda path: "closed" not in path and path != "AGENTS.md")
    assert found == ["- skills/open/SKILL.md: Fill open forms."]


def test_skill_of_a_cloned_repository_is_left_out(workspace: Workspace, base: Path, put: Put) -> None:
    put("skills/cloned/SKILL.md", SKILL.format("cloned"))
    put("site/skills/linked/SKILL.md", SKILL.format("linked"))
    put("skills/own/SKILL.md", SKILL.format("own"))
    (base / "skills" / "linked").symlink_to("../site/skills/linked")
    for folder in ("skills/cloned", "site"):
        workspace.foreign.add(folder)
    assert lines(workspace) == ["- skills/own/SKILL.md: Fill own forms."]


def test_many_and_long_skills_are_bounded(workspace: Workspace, base: Path, put: Put) -> None:
    for number in range(MAX_SKILLS + 20):
        put(f"skills/s{number}/SKILL.md", f"---\nname: s{number}\ndescription: {'long ' * 200}\n---\n")
    for number in range(2 * MAX_FOLDERS):
        (base / "skills" / f"e{number}").mkdir()
    put("skills/huge/SKILL.md", SKILL.format("huge").encode() + b"x" * 10**7)
    part = described(workspace, lambda _: True, Deadline(30))
    assert len(part) <= MAX_CHARACTERS + 100
    assert part.endswith("There are more skills in skills and .agents/skills.")


@pytest.mark.parametrize("more", [0, 1])
def test_more_skills_are_mentioned_only_if_there_are_more(workspace: Workspace, put: Put, more: int) -> None:
    for number in range(MAX_SKILLS + more):
        put(f"skills/s{number}/SKILL.md", f"---\nname: s{number}\ndescription: Short.\n---\n")
    part = described(workspace, lambda _: True, Deadline(30))
    assert part.count(": Short.") == MAX_SKILLS
    assert part.endswith("There are more skills in skills and .agents/skills.") == bool(more)


def test_title_of_a_file_from_windows_is_its_text(workspace: Workspace, put: Put) -> None:
    put("AGENTS.md", "\r\n# Our rules\r\nThe secret rule.\r\n")
    assert lines(workspace) == ["- AGENTS.md (33 bytes, 'Our rules'): read it before you work with the files."]


def test_look_at_skills_ends_with_its_time(workspace: Workspace, put: Put) -> None:
    put("AGENTS.md", "x")
    put("skills/pdf/SKILL.md", SKILL.format("pdf"))
    assert lines(workspace, seconds=0) == ["- AGENTS.md (1 bytes): read it before you work with the files."]


@pytest.fixture
def instructed(settings: Settings) -> Iterator[Path]:
    """Turn the setting on, and write a skill into the root workspace."""
    settings.WORKSPACE_INSTRUCTIONS = True
    folder = workspaces().root.base / "skills" / "pdf"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(SKILL.format("pdf"))
    yield folder
    (folder / "SKILL.md").unlink()
    folder.rmdir()
    folder.parent.rmdir()


async def test_model_reads_names_in_the_prompt_and_the_body_by_its_tool(start: Start, instructed: Path) -> None:
    reading = ToolCall(call_id="1", name="fs.read", arguments='{"path": "skills/pdf/SKILL.md"}')
    model = Scripted([reading, CALLS], [text("Done."), STOP])
    api = await start(model)
    answer = await api.ask(message="Fill the form.", instructions="Be brief.")
    prompt_text = model.requests[0].instructions
    assert prompt_text.startswith(f"Be brief.\n\n{INTRODUCTION}\n")
    assert prompt_text.endswith("- skills/pdf/SKILL.md: Fill pdf forms.")
    assert "The body." not in prompt_text
    assert "The body." in answer.one("tool_result")["data"]["content"]


async def test_prompt_names_nothing_that_the_model_cannot_read(
    start: Start, instructed: Path, settings: Settings
) -> None:
    for policy, fields in (("deny fs.read", {}), ("deny read path=skills/*", {}), ("", {"tools": ["fs.write"]})):
        model = Scripted([text("Hi."), STOP])
        await (await start(model, policy=policy)).ask(message="Hi.", **fields)
        assert model.requests[0].instructions == ""
    settings.WORKSPACE_INSTRUCTIONS = False
    model = Scripted([text("Hi."), STOP])
    await (await start(model)).ask(message="Hi.")
    assert model.requests[0].instructions == ""


@pytest.mark.parametrize(
    ("path", "rules", "decision"),
    [
        ("AGENTS.md", "", "ask"),
        ("skills/pdf/SKILL.md", "", "ask"),
        (".agents/skills/pdf/SKILL.md", "", "ask"),
        ("docs/AGENTS.md", "", "allow"),
        ("AGENTS.md", "allow fs.write when=tainted", "allow"),
        ("AGENTS.md", "deny fs.write", "deny"),
    ],
)
def test_tainted_model_writes_no_instructions_without_an_approval(
    settings: Settings, path: str, rules: str, decision: str
) -> None:
    settings.TOOL_POLICY = parse(rules)
    asked = PolicyInput(tool="fs.write", effect="write", source="model", facets={"path": [path]})
    settings.WORKSPACE_INSTRUCTIONS = True
    assert conf.policy().decide(msgspec.structs.replace(asked, taint=["web"])) == decision
    untainted = "deny" if decision == "deny" else "allow"
    assert conf.policy().decide(asked) == untainted
    settings.WORKSPACE_INSTRUCTIONS = False
    assert conf.policy().decide(msgspec.structs.replace(asked, taint=["web"])) == untainted


async def test_workspace_without_instructions_needs_no_thread(start: Start, settings: Settings) -> None:
    settings.WORKSPACE_INSTRUCTIONS = True
    model = Scripted([text("Hi."), STOP])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompt, "in_thread", None)
        await (await start(model)).ask(message="Hi.")
    assert model.requests[0].instructions == ""


async def test_each_owner_has_the_instructions_of_its_own_workspace() -> None:
    own = workspaces().at("user:instructed")
    (own.base / "AGENTS.md").write_text("# Mine\n")
    session_id = uuid4()
    assert "'Mine'" in await prompt.instructions_of("user:instructed", session_id, parse(""))
    assert await prompt.instructions_of("user:other", session_id, parse("")) == ""
    # A question about instructions makes no folder.
    assert not workspaces().path("user:other").exists()
    assert await prompt.instructions_of("user:instructed", session_id, parse("deny fs.read path=AGENTS.md")) == ""
    (own.base / "AGENTS.md").unlink()
