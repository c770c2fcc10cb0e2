"""How git is called so that a repository's own settings start no program and lead nowhere.

What wins over a repository's configuration is told with each setting. Of what nothing wins over, filters and included
files, the sandbox has to take care: programs that it does not let start, files that it does not let be read.
Sources: git(1), git-config(1), gitattributes(5).
"""

from collections.abc import Mapping, Sequence

NOWHERE = "/dev/null"
NO_PROGRAM = "false"
PROTOCOLS = ("ext", "file", "ftp", "ftps", "git", "http", "https", "ssh")
KNOWN_FILTERS = ("lfs", "git-crypt")
"""Filters that a person may have set up in a repository, and that must succeed unless their setting is taken back."""

GLOBAL_OPTIONS = ("--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs")

SETTINGS: Mapping[str, str] = {
    "core.fsmonitor": "",
    "core.untrackedCache": "false",
    "core.hooksPath": NOWHERE,
    "core.pager": "cat",
    "core.editor": NO_PROGRAM,
    "sequence.editor": NO_PROGRAM,
    "core.askPass": "",
    "core.sshCommand": NO_PROGRAM,
    "core.gitProxy": "",
    "core.alternateRefsCommand": NO_PROGRAM,
    "core.attributesFile": NOWHERE,
    "core.excludesFile": NOWHERE,
    "core.quotePath": "false",
    "core.bigFileThreshold": "16m",
    "core.packedGitWindowSize": "32m",
    "core.packedGitLimit": "256m",
    "core.deltaBaseCacheLimit": "32m",
    "diff.external": "",
    "diff.orderFile": NOWHERE,
    "diff.submodule": "short",
    "diff.ignoreSubmodules": "dirty",
    "diff.suppressBlankEmpty": "false",
    "status.submoduleSummary": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "blame.ignoreRevsFile": "",
    "mailmap.file": NOWHERE,
    "log.mailmap": "false",
    "log.showSignature": "false",
    "log.follow": "false",
    "i18n.logOutputEncoding": "UTF-8",
    "gpg.program": NO_PROGRAM,
    "gpg.openpgp.program": NO_PROGRAM,
    "gpg.x509.program": NO_PROGRAM,
    "gpg.ssh.program": NO_PROGRAM,
    "gpg.ssh.defaultKeyCommand": NO_PROGRAM,
    "credential.helper": "",
    "interactive.diffFilter": "cat",
    "help.autoCorrect": "0",
    "advice.graftFileDeprecated": "false",
    "color.ui": "false",
    "column.ui": "never",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "safe.directory": "*",
    "safe.bareRepository": "explicit",
    "protocol.allow": "never",
    **{f"protocol.{name}.allow": "never" for name in PROTOCOLS},
    **{f"filter.{name}.{kind}": "" for name in KNOWN_FILTERS for kind in ("clean", "smudge", "process")},
    **{f"filter.{name}.required": "false" for name in KNOWN_FILTERS},
}
"""A setting of the command line wins over every file.

`safe.directory`: git asks who owns a repository because the owner's settings could start programs. Here they cannot,
and a workspace that was mounted belongs to somebody else.
"""

_NO_DIFF_PROGRAMS = ("--no-ext-diff", "--no-textconv")
_NO_SUBMODULES = ("--ignore-submodules=dirty",)
_SHOWING = (*_NO_DIFF_PROGRAMS, *_NO_SUBMODULES, "--submodule=short")

OPTIONS: Mapping[str, Sequence[str]] = {
    "status": _NO_SUBMODULES,
    "blame": ("--no-textconv",),
    **dict.fromkeys(("diff", "diff-files", "diff-index", "diff-tree"), _SHOWING),
    **dict.fromkeys(("log", "show", "whatchanged", "format-patch"), _SHOWING),
}
"""By command, for what each path's own attributes would ask: programs of diffs, and git within submodules.

A git that is started for a submodule is not told the settings of the command line.
"""

ENVIRONMENT: Mapping[str, str] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": NOWHERE,
    "GIT_CONFIG_GLOBAL": NOWHERE,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": NOWHERE,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": NO_PROGRAM,
    "GIT_ASKPASS": NO_PROGRAM,
    "GIT_SSH_COMMAND": NO_PROGRAM,
    "LC_ALL": "C.UTF-8",
}
"""All that git is told by its environment, which also a git that it starts itself inherits."""


def hardened(arguments: Sequence[str]) -> tuple[str, ...]:
    """The argv of git for its command and that command's own options, such as `("status", "--short")`.

    The arguments begin with the command. They come from whoever has checked them: an option among them that takes back
    one of `OPTIONS` (`--textconv`, `--ext-diff`, `--ignore-submodules=none`) would win.
    """
    command, *rest = arguments
    settings = (word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}"))
    return ("git", *GLOBAL_OPTIONS, *settings, command, *OPTIONS.get(command, ()), *rest)
