"""Misconfiguration of the tools, found before the service starts."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution

from tools import assembly, conf


@register
def check_workspace(**_: Any) -> list[CheckMessage]:
    """What the tools may read and write holds nothing of the service's own."""
    base = conf.workspace_base().resolve()
    hint = "Give the agent a folder of its own, such as ./workspaces."
    held = [(what, path) for what, path in _own() if path.resolve().is_relative_to(base)]
    held += [("the service's own code", path) for path in _code() if base.is_relative_to(path)]
    return [Error(f"ALLOW_FS_BASE={base} holds {what}: {path}.", hint=hint, id="tools.E001") for what, path in held]


@register
def check_policy(**_: Any) -> list[CheckMessage]:
    """Every rule is about a tool that there is: one with a misspelt name would silently never hold."""
    names = assembly.names()
    return [
        Caution(
            f"TOOL_POLICY has a rule about {rule.tool!r}, which is no tool's name.",
            hint=f"There are {', '.join(names)}.",
            id="tools.W001",
        )
        for rule in conf.policy().rules
        if names and not any(fnmatchcase(name, rule.tool) for name in names)
    ]


def _code() -> Iterator[Path]:
    """Yield the service's own folders: those with Python modules, and hidden ones such as `.git`."""
    for path in Path(settings.BASE_DIR).resolve().glob("*"):
        if path.is_dir() and (path.name.startswith(".") or any(path.glob("*.py"))):
            yield path


def _own() -> Iterator[tuple[str, Path]]:
    """What of the service must not lie in the workspace."""
    yield "the service's own code", Path(settings.BASE_DIR)
    yield "the long outputs of tools (TOOL_OUTPUT_DIR)", conf.output_folder()
    yield "the service's settings", Path(settings.ENV_PATH)
    yield "its secret key (SECRET_KEY_PATH)", Path(settings.SECRET_KEY_PATH)
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield "the service's own database (DATABASE_URL)", Path(settings.DATABASES["default"]["NAME"])
