"""The ground that commands are checked on: a workspace at /base, with the names that the real one reserves."""

from tools.commands import Ground
from tools.workspace.confinement.names import SECRETS, SecretNames, is_git

SECRET_NAMES = SecretNames()


def ground(cwd: str = "", existing: tuple[str, ...] = ()) -> Ground:
    return Ground(
        roots=("/base",),
        cwd=tuple(filter(None, cwd.split("/"))),
        is_secret=lambda name: SECRET_NAMES.cover((name,)),
        is_git=is_git,
        exists=existing.__contains__,
        secret_globs=SECRETS,
    )
