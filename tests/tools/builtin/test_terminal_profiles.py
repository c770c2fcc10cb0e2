"""`terminal.exec` in the profiles `develop` and `shell`. Covers `tools.terminal.project`."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.tools.builtin.conftest import Make
from tests.tools.commands.terminals import run, verdict
from tools.policy import PolicyInput, parse

pytestmark = pytest.mark.usefixtures("kernel")

SYSTEM_PYTHON = Path("/usr/bin/python3")
BASE_PYTHON = Path(sys.base_prefix, "bin", "python3")
# The module stands for pytest, which would take a second to copy and start.
MODULE = "import sys, os.path\ndef console_main():\n    print('pytest of', sys.prefix)\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "node_modules" / ".bin").mkdir(parents=True)
    (folder / "node_modules" / "greet").mkdir()
    script(folder / "node_modules" / "greet" / "cli", "#!/bin/sh\necho greetings")
    (folder / "node_modules" / ".bin" / "greet").symlink_to("../greet/cli")
    script(folder / "run.sh", "#!/bin/sh\necho ran")
    (folder / "Makefile").write_text("test:\n\t@greet | cat\n")
    (folder / ".env").write_text("the-canary")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("the-canary")
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"{text}\n")
    path.chmod(0o755)


def environment(at: Path, python: Path) -> None:
    """Create a virtual environment with a program named pytest, as an installer writes it."""
    subprocess.run([python, "-m", "venv", "--without-pip", at], check=True, timeout=60)
    (packages,) = at.glob("lib/python3*/site-packages")
    (packages / "pytest.py").write_text(MODULE + "if __name__ == '__main__':\n    console_main()\n")
    script(at / "bin" / "pytest", f"#!{at}/bin/python\nfrom pytest import console_main\nconsole_main()")


@pytest.mark.parametrize("profile", ["develop", "shell"])
@pytest.mark.parametrize(
    "command", ["cat .env", "bash -c 'cat .git/config'", "python -c 'print(open(\".env\").read())'"]
)
async def test_secrets_stay_hidden_in_every_profile(command: str, profile: str, make: Make) -> None:
    code, said = await verdict(make(profile=profile), command=command)
    assert code == "ran"
    assert "the-canary" not in said
    assert "ermission" in said


@pytest.mark.parametrize("command", ["../outside", "/bin/../etc/hostname", "missing", "./missing", "ls | wc", "ls > x"])
async def test_develop_refuses_programs_outside_and_shell_syntax(command: str, make: Make) -> None:
    code, _ = await verdict(make(profile="develop"), command=command)
    assert code == "not_allowed"


async def test_project_programs_run_in_develop(make: Make) -> None:
    tool = make(profile="develop")
    for command, said in (
        ("greet", "greetings"),
        ("node_modules/.bin/greet", "greetings"),
        ("./run.sh", "ran"),
        ("make test", "greetings"),
        ("bash -c 'ls *.sh | wc -l'", "1"),
        ("sed -n 's/echo/said/p' run.sh", "said ran"),
    ):
        result = await run(tool, command=command)
        assert (result.exit_code, result.stdout.strip(), result.profile) == (0, said, "develop"), command


async def test_shell_runs_pipes_redirections_and_lists(make: Make, base: Path) -> None:
    tool = make(profile="shell")
    result = await run(
        tool, command="cd node_modules && greet | tr a-z A-Z > $TMPDIR/x; cat $TMPDIR/x; grep -r echo .. | sort"
    )
    assert (result.stdout, result.profile) == (
        "GREETINGS\n../node_modules/greet/cli:echo greetings\n../run.sh:echo ran\n",
        "shell",
    )
    refused = await run(tool, command="echo x > new")
    assert (refused.exit_code, (base / "new").exists()) == (1, False)


async def test_git_within_a_shell_is_explained(make: Make) -> None:
    result = await run(make(profile="shell"), command="git log | cat")
    assert any("command of its own" in note for note in result.notes)


@pytest.mark.parametrize("moved", [False, True], ids=["in place", "moved"])
@pytest.mark.parametrize("kind", ["system", "other installation", "installation by a link"])
async def test_pytest_of_the_virtual_environment_runs(
    kind: str, moved: bool, make: Make, base: Path, tmp_path: Path
) -> None:
    python = SYSTEM_PYTHON if kind == "system" else BASE_PYTHON
    if kind == "installation by a link":
        (tmp_path / "python").symlink_to(BASE_PYTHON.parents[1])
        python = tmp_path / "python" / "bin" / "python3"
    if not python.exists():
        pytest.skip(f"{python} is not installed")
    at = base / ".venv"
    environment(tmp_path / "old" if moved else at, python)
    if moved:
        (tmp_path / "old").rename(at)
    (base / "src").mkdir()
    expected = f"pytest of {at}\n"

    assert (await run(make(profile="develop"), command="pytest", cwd="src")).stdout == expected
    line = "pytest; python -m pytest; .venv/bin/pytest"
    assert (await run(make(profile="shell"), command=line)).stdout == expected * 3


async def test_link_of_an_environment_opens_no_other_folder(make: Make, base: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "bin").mkdir(parents=True)
    (outside / "lib").mkdir()
    for name in ("bin/python3", "lib/canary"):
        (outside / name).write_text("the-canary")
    (base / ".venv" / "bin").mkdir(parents=True)
    (base / ".venv" / "bin" / "python").symlink_to(outside / "bin" / "python3")
    (base / ".venv" / "pyvenv.cfg").write_text(f"home = {outside}/bin\n")
    _, said = await verdict(make(profile="shell"), command=f"cat {outside}/lib/canary {outside}/bin/python3")

    assert "the-canary" not in said


@pytest.mark.parametrize(
    ("rules", "profile", "params", "decision"),
    [
        ('deny terminal.exec "command=git push*"', "shell", {"command": "ls; env git push x"}, "deny"),
        ('deny terminal.exec "command=rm *"', "develop", {"argv": ["bash", "-c", "ls; /bin/rm x"]}, "deny"),
        ('deny terminal.exec "command=ls | wc*"', "shell", {"command": "ls | wc -l"}, "deny"),
        ('ask terminal.exec; allow terminal.exec "command=ls *"', "shell", {"command": "ls x; rm y"}, "ask"),
        ('ask terminal.exec; allow terminal.exec "command=ls *"', "shell", {"command": "ls x"}, "allow"),
        ('deny terminal.exec "command=rm *"', "shell", {"command": "grep 'rm x' y"}, "allow"),
    ],
)
def test_rules_hold_for_each_program_of_a_line(
    rules: str, profile: str, params: dict[str, object], decision: str, make: Make
) -> None:
    tool = make(profile=profile)
    values = msgspec.convert(params, tool.params)
    found = parse(rules).decide(
        PolicyInput(
            tool=tool.name, effect=tool.effect, source="model", facets=tool.facets(values), implied=tool.implied(values)
        )
    )
    assert found == decision


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize(("profile", "word"), [("read", "no shell"), ("develop", "npm test"), ("shell", "Pipes")])
def test_description_names_what_the_profile_allows(profile: str, word: str, writable: bool, make: Make) -> None:
    spec = make(profile=profile, writable=writable).spec
    assert word in spec.description
    assert len(spec.description) < 1_024
    assert ("node" in spec.parameters["properties"]["command"]["description"].split(", ")) == (profile != "read")
