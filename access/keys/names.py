"""The names of keys and users, for rows that refer to them by id."""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils.html import format_html

from access.models import ApiKey
from console import cells
from console.visible_text import visible_text_line

REFERENCE: Final = re.compile(
    r"(?:key:)?(?P<key>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<rest>:.*)?|user:(?P<user>[0-9]{1,18})",
    re.ASCII | re.DOTALL,
)
"""An owner, the id of a key, or the name of an account of a key's budget."""

SHOWN: Final = 80
MAX_FOUND: Final = 100
"""Keys, and users, whose rows a search finds by name."""


class Names:
    """The names behind the references of some rows: read when first asked for, the keys and the users at once."""

    def __init__(self, references: Iterable[object], reader: Any = None) -> None:
        """Read the names of the `references`. The links are those to pages that the user `reader` may see."""
        self._reader = reader
        self._found = [match for one in references if (match := REFERENCE.fullmatch(str(one)))]

    def text(self, reference: object) -> str:
        """Return the name as one line, such as `ci (osk_1a2b3c4d)`. What refers to no key or user is returned as is."""
        _, name, rest = self._named(reference)
        return f"{name}{rest}" if name else visible_text_line(str(reference), SHOWN)

    def link(self, reference: object) -> str:
        """Return the name as HTML, with a link to the page of the key or the user if the reader may see it."""
        if reference in (None, ""):
            return cells.NOTHING
        page, name, rest = self._named(reference)
        if not name:
            return cells.short(str(reference))
        kind, _, key = page.partition(":")
        app, _, model = kind.partition("_")
        may_see = self._reader is not None and self._reader.has_perm(f"{app}.view_{model}")
        return format_html("{}{}", cells.link(kind, key, name) if may_see else name, visible_text_line(rest, SHOWN))

    def _named(self, reference: object) -> tuple[str, str, str]:
        """Return the page of a reference, the name, and the rest of an account's name; the name may be unknown."""
        match = REFERENCE.fullmatch(str(reference))
        if match is None:
            return "", "", ""
        page = f"auth_user:{match['user']}" if match["user"] else f"access_apikey:{match['key']}"
        return page, self.pages.get(page, ""), match["rest"] or ""

    @cached_property
    def pages(self) -> dict[str, str]:
        """The names by the pages of keys and users."""
        keys = {match["key"] for match in self._found if match["key"]}
        users = {int(match["user"]) for match in self._found if match["user"]}
        found = {}
        if keys:
            for key, name, prefix in ApiKey.objects.filter(pk__in=keys).values_list("pk", "name", "prefix"):
                # Names repeat after a revocation; the prefix does not.
                found[f"access_apikey:{key}"] = f"{visible_text_line(name, SHOWN)} ({prefix})"
        if users:
            for user, name in get_user_model().objects.filter(pk__in=users).values_list("pk", "username"):
                found[f"auth_user:{user}"] = f"{visible_text_line(name, SHOWN)} (user)"
        return found


def references_to(name: str) -> list[str]:
    """Return the ids of the keys with this name, prefix or id, and the references to users whose name has this."""
    if not name:
        return []
    named = Q(name__icontains=name) | Q(prefix__startswith=name)
    match = REFERENCE.fullmatch(name)
    if match and match["key"]:
        named |= Q(pk=match["key"])
    keys = ApiKey.objects.filter(named).order_by("-created").values_list("pk", flat=True)[:MAX_FOUND]
    users = get_user_model().objects.filter(username__icontains=name).values_list("pk", flat=True)[:MAX_FOUND]
    return [*map(str, keys), *(f"user:{user}" for user in users)]
