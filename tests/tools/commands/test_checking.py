"""Checks of commands against the whitelist: accepted commands, their rewritten form, and refusals.

Covers `tools.commands.expression`, `tools.commands.operands`, `tools.commands.program`,
`tools.commands.pytest_settings`, `tools.commands.revisions`.
"""

import pytest

from tests.tools.commands.grounds import ground
from tools.base import ToolError
from tools.commands import WHITELIST, check, split
from tools.workspace.confinement.names import SECRETS

ALLOWED = {
    "ls -la docs": "ls -l -a docs",
    "ls docs -l": "ls -l docs",
    "ls -- -l": "ls -- -l",
    "ls --color=never": "ls --color=never",
    "head -5 a": "head -n5 a",
    "head -n 5 a": "head -n5 a",
    "head --lines 5 a": "head --lines=5 a",
    "tail -n +5 a": "tail -n+5 a",
    "tail -c -5 a": "tail -c-5 a",
    "grep -rn process.env src": "grep --exclude-dir=.git -r -n process.env src",
    "grep -e .env a": "grep --exclude-dir=.git -e.env a",
    "grep -e '' a": "grep --exclude-dir=.git -e '' a",
    "grep -3 x a": "grep --exclude-dir=.git -C3 x a",
    "grep -rnA2 x": "grep --exclude-dir=.git -r -n -A2 x",
    "rg x": "rg --no-config '--glob=!.git' x",
    "rg --files src": "rg --no-config '--glob=!.git' --files src",
    "find . -name '*.py' -not -path './a/*' -print0": "find . -name '*.py' -not -path './a/*' -print0",
    "find . -name -exec": "find . -name -exec",
    "sort -k 2,2n -t , a b": "sort -k2,2n -t, a b",
    "uniq -c a": "uniq -c a",
    "stat -c %s a": "stat -c%s a",
    "echo -n --foo .env /etc": "echo -n --foo .env /etc",
    "cat /base/docs/a": "cat /base/docs/a",
    "cat docs/../a": "cat docs/../a",
    "cat -": "cat -",
    "cat .env.example": "cat .env.example",
    "python --version": "python --version",
    "pytest -q 'tests/a.py::t[x/../y]'": (
        "pytest -p no:cacheprovider --rootdir=. --confcutdir=. -q 'tests/a.py::t[x/../y]'"
    ),
    "git status -sb": "git status -s -b",
    "git --no-pager log -3 --oneline main..feature/x": "git log -n3 --oneline main..feature/x",
    "git --version": "git version",
    "git branch -a": "git branch -a",
    "git branch --list 'fix/*'": "git branch --list 'fix/*'",
    "git rev-parse --short HEAD": "git rev-parse --short HEAD",
    "git log -- docs": "git log -- docs",
    "git blame -L 1,5 a.py": "git blame -L1,5 a.py",
    "git log --format='%h %s' --since='2 days ago'": "git log '--format=%h %s' '--since=2 days ago'",
}
REFUSED = {
    "rm a": "among the programs here: ls, cat",
    "cd docs": "give the folder as cwd",
    "/bin/ls": "among the programs",
    "./ls": "among the programs",
    "sh -c id": "among the programs",
    "ls -L": "among the options of ls here: -a",
    "ls -lL": "'-L' in '-lL'",
    "ls --colo=never": "'--colo' in",
    "ls --all=1": "takes no value",
    "head -n x": "takes a number",
    "uniq a b": "at most 1 file",
    "pwd x": "takes no",
    "python -c x": "among the options of python here: --version",
    "python a.py": "takes no",
    "find . -exec id +": "'-exec' is not among the options of find",
    "find . -okdir id +": "not among",
    "git push": "among git's commands here: blame",
    "git": "by itself",
    "git -C docs status": "before its command",
    "git -c a=b status": "before its command",
    "git stash": "among git's commands",
    "git stash list": "among git's commands",
    "git branch new": "add --list",
    "git branch -D main": "not among",
    "git tag v1": "add --list",
    "git reflog expire": "takes no",
    "git log -p --follow a": "--follow",
    "git show 'HEAD^{blob}'": "name a commit",
    "cat .env": "name of a secret",
    "cat docs/.ENV.local": "name of a secret",
    "cat .ssh/config": "name of a secret",
    "grep -r --include=.env x .": "name of a secret",
    "rg -g '!.env' -g server.pem x": "name of a secret",
    "git show HEAD:.env": "name of a secret",
    "git show :0:a/id_rsa": "name of a secret",
    "git diff main -- .env": "name of a secret",
    "git blame -L 1,5 .env": "name of a secret",
    "git log ':(glob)**/.env'": "name of a secret",
    "pytest .env::x": "name of a secret",
    "find . -newer .env": "name of a secret",
    "find .git -name config": "git's own folder",
    "cat .GIT/config": "git's own folder",
    "ls a/.git": "git's own folder",
    "cat 'git~1/config'": "git's own folder",
}
OUTSIDE = (
    "cat /etc/passwd",
    "cat ../x",
    "cat docs/../../x",
    "cat /base/../etc/passwd",
    "cat /basement/x",
    "ls ..",
    "ls /",
    "find / -name x",
    "find .. -name x",
    "grep -r x /etc",
    "diff a /etc/passwd",
    "stat /root",
    "du -s ../..",
    "git log -- ../x",
    "git diff /etc/passwd /etc/hosts",
    "pytest ../x.py::t",
    "find . -newer /etc/passwd",
)


def checked(command: str, cwd: str = "") -> tuple[str, ...]:
    return check(split(command), WHITELIST, ground(cwd)).argv


def without_magic(argv: tuple[str, ...]) -> list[str]:
    return [word for word in argv if not word.startswith(":(exclude")]


@pytest.mark.parametrize("command", ALLOWED)
def test_allowed_command_is_rewritten_unambiguously(command: str) -> None:
    assert without_magic(checked(command)) == list(split(ALLOWED[command]))


@pytest.mark.parametrize("command", REFUSED)
def test_command_off_the_whitelist_is_rejected_with_the_allowed_ones(command: str) -> None:
    with pytest.raises(ToolError) as refusal:
        checked(command)

    assert refusal.value.code == "not_allowed"
    assert REFUSED[command] in str(refusal.value)


@pytest.mark.parametrize("command", OUTSIDE)
def test_path_outside_the_workspace_is_rejected(command: str) -> None:
    with pytest.raises(ToolError) as refusal:
        checked(command)

    assert refusal.value.code == "outside_workspace"


def test_parent_path_is_resolved_from_the_working_folder() -> None:
    assert checked("cat ../../a", "docs/deep") == ("cat", "../../a")
    with pytest.raises(ToolError, match="outside"):
        checked("cat ../../../a", "docs/deep")


@pytest.mark.parametrize(
    "command", ["git diff", "git show HEAD", "git log -p", "git log -S x", "git grep x", "git grep -L x"]
)
def test_git_shows_contents_without_secrets(command: str) -> None:
    hidden = [word for word in checked(command) if word.startswith(":(exclude")]

    assert len(hidden) == 2 * len(SECRETS)
    assert ":(exclude,icase,glob,top)**/.env*" in hidden


@pytest.mark.parametrize("command", ["git log", "git log --oneline", "git status", "git ls-files"])
def test_git_command_that_shows_only_names_is_unchanged(command: str) -> None:
    assert list(checked(command)) == command.split()


HELD = {
    "HEAD": "HEAD",
    "abcd1234": "abcd1234^{commit}",
    "x-0-gabcd1234": "x-0-gabcd1234^{commit}",
    "^main": "^main^{commit}",
    "main": "main^{commit}",
    "main~2": "main~2",
    "x-0-gabcd^0": "x-0-gabcd^0",
    "@{-1}": "@{-1}^{commit}",
    "HEAD@{10:00}": "HEAD@{10:00}^{commit}",
    "HEAD^@": "HEAD^{commit}^@",
    "HEAD^!": "HEAD^{commit}^!",
    "HEAD^-2": "HEAD^{commit}^-2",
    "HEAD^{/fix: it}": "HEAD^{/fix: it}^{commit}",
    "abcd..ef01": "abcd^{commit}..ef01^{commit}",
    "abcd...main": "abcd^{commit}...main^{commit}",
    "..x-0-gabcd": "..x-0-gabcd^{commit}",
    "main..": "main^{commit}..",
    ":/a fix": ":/a fix",
    ":/a..x-0-gabcd": ":/a..x-0-gabcd^{commit}",
    "main:docs/a.md": "main^{commit}:docs/a.md",
    "abcd1234:config": "abcd1234^{commit}:config",
    ":2:docs/a.md": ":2:docs/a.md",
    "HEAD:a..x-0-gabcd": "HEAD:a..x-0-gabcd^{commit}",
}
"""Revisions, and the form of each in which git can resolve every end only as a commit."""


@pytest.mark.parametrize("given", HELD)
@pytest.mark.parametrize("command", ["show", "diff", "log -p", "grep x"])
def test_revision_is_passed_to_git_as_a_commit(command: str, given: str) -> None:
    argv = without_magic(check((*f"git {command}".split(), given), WHITELIST, ground()).argv)

    assert argv[-2:] == [HELD[given], "--"]


@pytest.mark.parametrize("given", ["HEAD:../x-0-gabcd", "HEAD:./../.env", "x:..", "HEAD:a/../b"])
def test_parent_folder_in_a_revision_is_rejected(given: str) -> None:
    with pytest.raises(ToolError) as refusal:
        checked(f"git show {given}")

    assert refusal.value.code in {"not_allowed", "outside_workspace"}


@pytest.mark.parametrize("path", ["a.txt", ":(glob)**/*.py", ":!docs", "*.py", "src/[ab].c"])
def test_operands_from_the_first_path_on_are_not_revisions(path: str) -> None:
    given = ("git", "diff", "main", path, "docs")

    argv = check(given, WHITELIST, ground(existing=("a.txt",))).argv

    assert without_magic(argv) == ["git", "diff", "main^{commit}", "--", path, "docs"]


@pytest.mark.parametrize(
    "command",
    [
        "git status -v",
        "git status -sv",
        "git status --verbose",
        "git log -L1,3:a.txt",
        "git log -p --full-diff -- a.txt",
        "git for-each-ref '--format=%(raw)'",
        "git branch '--format=%(refname)%(*raw:size)'",
        "git tag -l --sort=-raw",
    ],
)
def test_git_option_that_shows_content_past_the_names_of_files_is_rejected(command: str) -> None:
    with pytest.raises(ToolError) as refusal:
        checked(command)

    assert refusal.value.code == "not_allowed"


def test_log_of_references_takes_a_branch_by_its_name() -> None:
    assert without_magic(checked("git log -g -p main")) == ["git", "log", "-g", "-p", "main", "--"]


def test_git_grep_pattern_is_not_a_revision() -> None:
    given = ["git", "grep", "-e", "abcd1234", "HEAD", "--"]

    assert without_magic(checked("git grep abcd1234 HEAD")) == given


def test_missing_value_of_an_option_is_reported() -> None:
    with pytest.raises(ToolError, match="-n=NUMBER") as refusal:
        checked("head -n")

    assert refusal.value.code == "invalid_params"


def test_pytest_runs_without_writing_bytecode() -> None:
    assert check(["pytest"], WHITELIST, ground()).environment == {"PYTHONDONTWRITEBYTECODE": "1"}
