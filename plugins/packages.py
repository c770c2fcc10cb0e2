"""The packages of plug-ins, found by their entry points. Nothing is imported from a package that is not allowed.

PluginInvalid        a package cannot be used as a plug-in
"""

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Literal, TypeVar

import msgspec

Kind = Literal["tools", "providers", "speech"]

GROUPS: Final[dict[Kind, str]] = {
    "tools": "orchestrator_service.tools",
    "providers": "orchestrator_service.providers",
    "speech": "orchestrator_service.speech",
}
SEPARATORS: Final = re.compile(r"[-_.]+")
MAX_MESSAGE: Final = 300

T = TypeVar("T")


class PluginInvalid(ValueError):
    """A package cannot be used as a plug-in. The message is a sentence for the operator."""


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """An entry point of an allowed package, not yet imported."""

    package: str
    kind: Kind
    entry: EntryPoint

    def load(self, expected: type[T]) -> T:
        """Import the object of the entry point. Raises `PluginInvalid`."""
        where = f"{self.entry.value} of the package {self.package}"
        try:
            found = self.entry.load()
        # Code from outside may fail in any way, and each is the operator's to know.
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_MESSAGE]
            raise PluginInvalid(f"the plug-in {where} cannot be imported ({what})") from error
        if not isinstance(found, expected):
            raise PluginInvalid(f"the plug-in {where} must be a {expected.__name__}, and is a {type(found).__name__}")
        return found


def allowed_plugins(names: Sequence[str]) -> tuple[Plugin, ...]:
    """Return the plug-ins of the named packages, in their order. Raises `PluginInvalid` for one that has none."""
    # Looking through all installed packages takes a while, and most services have no plug-in.
    if not names:
        return ()
    installed = [
        Plugin(package=_normal(entry.dist.name), kind=kind, entry=entry)
        for kind, group in GROUPS.items()
        for entry in entry_points(group=group)
        if entry.dist is not None
    ]
    found: list[Plugin] = []
    for name in dict.fromkeys(map(_normal, names)):
        own = [plugin for plugin in installed if plugin.package == name]
        if not own:
            valid = ", ".join(sorted({plugin.package for plugin in installed})) or "none"
            raise PluginInvalid(f"no installed package {name[:80]!r} has plug-ins; installed with plug-ins: {valid}")
        found += own
    return tuple(found)


def loaded(plugins: Iterable[Plugin], kind: Kind, expected: type[T]) -> tuple[tuple[str, T], ...]:
    """Return the packages and the objects of the plug-ins of a kind. Raises `PluginInvalid`."""
    return tuple((plugin.package, plugin.load(expected)) for plugin in plugins if plugin.kind == kind)


def _normal(name: str) -> str:
    """Return the name of a package as the packaging specification compares it."""
    return SEPARATORS.sub("-", name.strip()).lower()
