"""Which names a workspace keeps to itself: git's own folder in every spelling of it, and secrets.

The foldings are those of HFS+ and ext4's casefold (code points that count for nothing, Unicode's
Default_Ignorable_Code_Point), of NTFS (trailing dots and spaces, `:` streams, `GIT~1`, the backslash) and of every
filesystem that ignores case.
"""

import fnmatch
import re
from collections.abc import Iterable

from tools.base import ToolError
from tools.workspace.confinement.paths import Parts, joined, shown

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
GIT = re.compile(r"\.git|git~[0-9]+")

SECRETS = (
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
"""Globs of the names that hold secrets, whatever their case; a folder's name covers what is in it."""

NOT_SECRETS = ("*.env.example", "*.env.sample", "*.env.template", "*.env.dist", "*.pub")
"""Globs of the names that only look like it: examples, and the public half of a key pair."""


def folded(name: str) -> str:
    """The name as the most forgiving filesystem would compare it."""
    visible = name if name.isascii() else name.translate(IGNORABLE)
    return visible.partition(":")[0].rstrip(". ").casefold()


def is_git(name: str) -> bool:
    """Whether some filesystem takes a path component for git's own folder."""
    return any(GIT.fullmatch(folded(piece)) for piece in name.split("\\"))


def refuse_git(parts: Parts) -> None:
    """Raises `ToolError` (`not_allowed`) for a path that has git's own folder in it."""
    if any(map(is_git, parts)):
        raise ToolError(
            f"{shown(joined(parts))} names git's own folder, which no file tool opens: use the git tools.",
            code="not_allowed",
        )


class SecretNames:
    """The names whose files are neither read, searched nor written."""

    def __init__(self, patterns: Iterable[str] = SECRETS, exempt: Iterable[str] = NOT_SECRETS) -> None:
        self._patterns = _any_of(patterns)
        self._exempt = _any_of(exempt)

    def cover(self, parts: Iterable[str]) -> bool:
        """Whether one of a path's names is a secret's, so that a folder covers what is in it."""
        return any(self._is_secret(part) for part in parts)

    def refuse(self, parts: Parts) -> None:
        """Raises `ToolError` (`not_allowed`) for a path that has a secret's name in it."""
        if self.cover(parts):
            raise ToolError(
                f"{shown(joined(parts))} has the name of a secret, which no file tool reads or writes.",
                code="not_allowed",
            )

    def _is_secret(self, part: str) -> bool:
        spellings = {part.casefold(), folded(part)}
        return any(self._patterns.match(name) and not self._exempt.match(name) for name in spellings)


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all the globs; of none, one that matches nothing."""
    return re.compile("|".join(fnmatch.translate(glob.casefold()) for glob in globs) or r"(?!)")
