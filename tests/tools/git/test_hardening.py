"""The options and the environment that git is run with."""

import pytest

from tests.tools.git.building import PLAIN, Built
from tools.git.hardening import ENVIRONMENT, OPTIONS, SETTINGS, hardened

COMMANDS = [
    ("status", "--short"),
    ("diff",),
    ("diff", "HEAD"),
    ("log", "-1", "--patch"),
    ("show", "HEAD"),
    ("blame", "a"),
    ("grep", "other"),
    ("ls-files",),
    ("branch", "--list"),
    ("tag", "--list"),
    ("describe", "--always"),
    ("rev-parse", "HEAD"),
    ("shortlog", "HEAD"),
    ("reflog", "show"),
    ("whatchanged", "-1"),
    ("diff-tree", "HEAD"),
    ("diff-index", "HEAD"),
    ("diff-files",),
    ("format-patch", "--stdout", "-1", "HEAD"),
    ("cat-file", "-p", "HEAD"),
    ("version",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_read_commands_work_without_warnings_about_their_settings(command: tuple[str, ...], repository: Built) -> None:
    repository.write("a")
    repository.commit()
    repository.write("a", "other\n")
    name, *arguments = hardened(command)
    ended = repository.run(arguments, environment=ENVIRONMENT)

    assert name == "git"
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_settings_precede_the_command() -> None:
    argv = hardened(("status", "--short", "--", "-c"))

    assert argv[-len(OPTIONS["status"]) - 4 :] == ("status", *OPTIONS["status"], "--short", "--", "-c")
    assert all(f"{name}={value}" in argv[: argv.index("status")] for name, value in SETTINGS.items())


def test_settings_override_those_of_the_repository(repository: Built) -> None:
    for name in SETTINGS:
        repository.git("config", name, "hostile")
    *before, _command = hardened(("config",))
    ended = repository.run([*before[1:], "config", "--list"], environment={**PLAIN, **ENVIRONMENT})
    last = dict(line.partition("=")[::2] for line in ended.stdout.decode().splitlines())

    assert {name: last[_as_listed(name)] for name in SETTINGS} == dict(SETTINGS)


def _as_listed(name: str) -> str:
    """Return a setting's name as git lists it: in lower case, except for its subsection."""
    section, *middle, key = name.split(".")
    return ".".join((section.lower(), *middle, key.lower()))
