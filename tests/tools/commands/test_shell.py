"""The commands that a line of a shell is seen to run. Covers `tools.commands.profiles`."""

import pytest

from tests.tools.commands.grounds import ground
from tools.base import ToolError
from tools.commands import WHITELIST, check, check_line, commands_of, table_of, visible_commands


@pytest.mark.parametrize(
    "line",
    [
        "git push origin",
        "ls; git push origin",
        "ls && git push origin || true",
        "ls | git push origin > out 2>&1",
        "ls\ngit push origin",
        "(cd src; git push origin)",
        "{ git push origin; }",
        "if true; then git push origin; fi",
        "for x in a b; do git push origin; done",
        "! git push origin",
        "echo $(git push origin)",
        'echo "done: $(git push origin)"',
        "echo `git push origin`",
        "cat <(git push origin)",
        ">out git push origin",
        "X=1 Y='a b' git push origin",
        "g'i't \\push \"origin\"",
        "git \\\n push origin",
        "/usr/bin/git push origin",
        "env -i X=1 git push origin",
        "timeout 5 nice -n 3 git push origin",
        "ls | xargs -n 1 git push origin",
        "find . -name '*.py' -type f -newer x -maxdepth 3 -mindepth 1 -size 3 -exec git push origin",
        "sh -c 'ls; git push origin'",
        "bash -lc 'git push origin'",
        "eval 'git push' origin",
        "case x in a) git push origin;; esac",
        "echo '(' ; git push origin",
    ],
)
def test_program_of_a_line_is_seen(line: str) -> None:
    assert ("git", "push", "origin") in visible_commands(line)


@pytest.mark.parametrize(
    "line", ["echo 'git push origin'", "echo git push origin", "ls # git push origin", "cat git push origin", "$x push"]
)
def test_words_that_are_not_run_are_no_program(line: str) -> None:
    assert not any(words[0] == "git" for words in visible_commands(line.replace("# ", "")))


def test_argv_is_seen_like_a_line() -> None:
    assert ("git", "push") in commands_of(["bash", "-c", "ls; git push"])
    assert commands_of(["echo", "a; git push"]) == (("echo", "a; git push"),)


@pytest.mark.parametrize(
    "line", ["", " ", "a\0b", "\udc80", "x" * 20_000, "env " * 3_000, "".join(f"a{n};" for n in range(999))]
)
def test_line_that_no_shell_can_get_is_refused(line: str) -> None:
    with pytest.raises(ToolError) as refused:
        check_line(line, table_of("shell", WHITELIST), ground())
    assert refused.value.code == "invalid_params"


def test_git_alone_keeps_its_table_in_a_shell() -> None:
    table = table_of("shell", WHITELIST)
    assert check_line("git log -n 3", table, ground()).name == "git log"
    assert check_line("git log | head", table, ground()).argv == ("sh", "-c", "git log | head")
    with pytest.raises(ToolError):
        check_line("git push origin", table, ground())


def test_profile_decides_about_options_and_interpreters() -> None:
    for argv in (["sed", "-n", "/a/p", "x"], ["python", "-m", "pytest"], ["make", "-k"], ["find", ".", "-exec", "x"]):
        assert check(argv, table_of("develop", WHITELIST), ground()).argv[-1] == argv[-1]
        with pytest.raises(ToolError):
            check(argv, table_of("read", WHITELIST), ground())
