"""Arguments and environment of git with which a repository's own settings start no program and lead nowhere.

Most settings of a repository can be overridden. Filters and included files cannot: for them, the sandbox allows git to
start no other program and to read no file outside.
Sources: git(1), git-config(1), gitattributes(5).
"""

from collections.abc import Mapping, Sequence

NOWHERE = "/dev/null"
NO_PROGRAM = "false"
PROTOCOLS = ("ext", "file", "ftp", "ftps", "git", "http", "https", "ssh")
# A filter that is `required` must succeed, or git fails. These are the common ones, so their settings are reset.
KNOWN_FILTERS = ("lfs", "git-crypt")

NO_SETTINGS: Mapping[str, str] = {}
GLOBAL_OPTIONS = ("--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs")

SETTINGS: Mapping[str, str] = {
    "core.fsmonitor": "",
    # This setting of a repository overrides `--no-replace-objects` (git 2.39).
    "core.useReplaceRefs": "false",
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
    # git checks the owner of a repository because the owner's settings could start programs. Here they cannot, and a
    # mounted workspace belongs to another user.
    "safe.directory": "*",
    # A folder in the working tree could otherwise be taken for a bare repository, with a configuration of its own.
    "safe.bareRepository": "explicit",
    "protocol.allow": "never",
    **{f"protocol.{name}.allow": "never" for name in PROTOCOLS},
    **{f"filter.{name}.{kind}": "" for name in KNOWN_FILTERS for kind in ("clean", "smudge", "process")},
    **{f"filter.{name}.required": "false" for name in KNOWN_FILTERS},
}
"""Settings for the command line, which override those of every file."""

WRITING_SETTINGS: Mapping[str, str] = {
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    # With these, git would leave out, remove or take files that the call does not name.
    "core.sparseCheckout": "false",
    "core.splitIndex": "false",
    "core.commitGraph": "false",
    "core.multiPackIndex": "false",
    "add.ignoreErrors": "false",
    "commit.gpgSign": "false",
    "commit.template": "",
    "i18n.commitEncoding": "UTF-8",
    "branch.autoSetupMerge": "false",
    "branch.autoSetupRebase": "never",
    "checkout.workers": "1",
}
"""More settings for commands that write, and for those whose result is sent elsewhere."""

_NO_DIFF_PROGRAMS = ("--no-ext-diff", "--no-textconv")
# A git that is started for a submodule does not get the settings of the command line.
_NO_SUBMODULES = ("--ignore-submodules=dirty",)
_SHOWING = (*_NO_DIFF_PROGRAMS, *_NO_SUBMODULES, "--submodule=short")

OPTIONS: Mapping[str, Sequence[str]] = {
    "status": _NO_SUBMODULES,
    "blame": ("--no-textconv",),
    **dict.fromkeys(("diff", "diff-files", "diff-index", "diff-tree"), _SHOWING),
    **dict.fromkeys(("log", "show", "whatchanged", "format-patch"), _SHOWING),
}
"""Options of each command that override the attributes of paths: no diff programs, and no git in submodules."""

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
"""The environment of git, which a git that it starts inherits."""


def hardened(arguments: Sequence[str], more: Mapping[str, str] = NO_SETTINGS) -> tuple[str, ...]:
    """Return the argv of git for a command and its options, such as `("status", "--short")`, with `more` settings.

    The caller must have checked the arguments.
    """
    # An option that reverses one of `OPTIONS` (`--textconv`, `--ext-diff`, `--ignore-submodules=none`) would win,
    # because it comes later.
    command, *rest = arguments
    settings = (word for name, value in {**SETTINGS, **more}.items() for word in ("-c", f"{name}={value}"))
    return ("git", *GLOBAL_OPTIONS, *settings, command, *OPTIONS.get(command, ()), *rest)
