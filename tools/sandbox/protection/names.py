"""Protected names: git's own folder in every spelling, and secrets.

These foldings are undone before names are compared:

- HFS+ and ext4's casefold ignore some code points (Unicode's Default_Ignorable_Code_Point)
- NTFS ignores trailing dots and spaces, and knows `:` streams, `GIT~1` and the backslash
- many filesystems ignore case
"""

# The launcher of commands imports this file too: it uses only the standard library.

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache

IGNORABLE_RANGES = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
IGNORABLE = dict.fromkeys(point for first, last in IGNORABLE_RANGES for point in range(first, last + 1))
MAX_REMEMBERED = 4_096
WILD = re.compile(r"[*?\[]")
GIT = re.compile(r"\.git|git~[0-9]+")

WORKSPACES = ".workspaces"
"""The folder beneath ALLOW_FS_BASE with the workspaces of owners and sessions. It is hidden from the root workspace."""

SECRETS = (
    WORKSPACES,
    ".env*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p8",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*_rsa",
    "*_dsa",
    "*_ecdsa",
    "*_ed25519",
    ".ssh",
    ".gnupg",
    ".aws",
    ".kube",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".npmrc",
    ".pypirc",
    ".htpasswd",
    ".git-credentials",
    ".vault-token",
    "credentials.json",
    "service-account*.json",
)
"""Globs of names of secrets, in any case. The name of a folder covers everything in it."""

NOT_SECRETS = ("*.env.example", "*.env.sample", "*.env.template", "*.env.dist", "*.pub")
"""Globs of names that only look like secrets: examples, and public keys."""


def folded(name: str) -> str:
    """Return the name as the most lenient filesystem would compare it."""
    visible = name if name.isascii() else name.translate(IGNORABLE)
    return visible.partition(":")[0].rstrip(". ").casefold()


def is_git(name: str) -> bool:
    """Return whether any filesystem would take this name for git's own folder."""
    # git runs programs that its configuration names, so writing there is running a program (CVE-2014-9390).
    # Nearly all names are ruled out at once: a workspace may have hundreds of thousands.
    if name.isascii() and "git" not in name.lower():
        return False
    return any(GIT.fullmatch(folded(piece)) for piece in name.split("\\"))


def is_workspaces(name: str) -> bool:
    """Return whether any filesystem would take this name for the folder of the callers' workspaces."""
    if name.isascii() and "spaces" not in name.lower():
        return False
    return any(folded(piece) == WORKSPACES for piece in name.split("\\"))


class SecretPatterns:
    """The patterns of the names of secrets."""

    def __init__(self, patterns: Iterable[str] = SECRETS, exempt: Iterable[str] = NOT_SECRETS) -> None:
        self.globs = tuple(patterns)
        globs = [glob.casefold() for glob in self.globs]
        # Most globs are a fixed text with one star at an end, and comparing such is many times faster.
        self._ends = tuple(glob[1:] for glob in globs if glob[:1] == "*" and not WILD.search(glob[1:]))
        self._starts = tuple(
            glob[:-1] for glob in globs if glob[-1:] == "*" and glob[:1] != "*" and not WILD.search(glob[:-1])
        )
        self._names = frozenset(glob for glob in globs if not WILD.search(glob))
        self._others = _any_of(glob for glob in globs if not _is_simple(glob))
        self._exempt = _any_of(exempt)
        # The names of folders repeat with each file in them.
        self._covers = lru_cache(MAX_REMEMBERED)(self._covers_name)

    def cover(self, parts: Iterable[str]) -> bool:
        """Return whether any name of a path is the name of a secret."""
        return any(map(self._covers, parts))

    def _covers_name(self, name: str) -> bool:
        spelling, other = name.casefold(), folded(name)
        if self._matches(spelling) and not self._exempt.match(spelling):
            return True
        return other != spelling and self._matches(other) and not self._exempt.match(other)

    def _matches(self, name: str) -> bool:
        return (
            name in self._names
            or name.endswith(self._ends)
            or name.startswith(self._starts)
            or self._others.match(name) is not None
        )


def _is_simple(glob: str) -> bool:
    """Return whether a glob has at most one star, at an end, and nothing else that is special."""
    return not WILD.search(glob) or not WILD.search(glob[1:] if glob[:1] == "*" else glob[:-1])


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """Return one pattern for all of the globs."""
    # An empty alternation would match every name; `(?!)` matches none.
    return re.compile("|".join(fnmatch.translate(glob.casefold()) for glob in globs) or r"(?!)")
