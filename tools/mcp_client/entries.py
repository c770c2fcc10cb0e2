"""The MCP servers that superusers name in the console, beside those of MCP_SERVERS_FILE.

EntryRefused         an entry cannot be added
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit import staff
from tools import conf
from tools.mcp_client import pins
from tools.mcp_client.servers import MAX_SERVERS, McpServer, read_entry
from tools.mcp_client.tool_set import ToolSet
from tools.models import McpServerEntry
from web.toml_file import HEADER, InvalidFile

logger = logging.getLogger(__name__)

ADDED: Final = "mcp_server.added"
REMOVED: Final = "mcp_server.removed"


VALUE: Final = rf'{HEADER.pattern} ?= ?"env:\w*"'
PLAIN: Final = "|".join({*McpServer.__struct_fields__} - {"url", "headers", "oauth_client_secret"})
TYPED: Final = (
    r"(?:\[[\w. -]*\])?",
    r"\w+ ?= ?(?:true|false|[\d._]{1,8})",
    r'url ?= ?"[^"?@#]*"',
    rf"(?:{PLAIN}) ?=[^#]*",
    rf"(?:headers ?= ?\{{ ?)?(?:{VALUE} ?(?:, ?)?)*\}}?",
)
"""The forms of lines that have no secret, with one space for each white space."""

LEFT_OUT: Final = "# A line was left out here, because it may have had a secret."


class EntryRefused(ValueError):
    """An entry cannot be added. The message is a sentence for the console."""


def entries() -> dict[str, str]:
    """Return the texts of the entries, by name."""
    return dict(McpServerEntry.objects.order_by("name").values_list("name", "text")[:MAX_SERVERS])


def state() -> tuple[dict[str, str], dict[str, str]]:
    """Return the hashes of the accepted sets and the entries: they change when other tools are offered."""
    return pins.accepted_hashes(), entries()


def stored() -> tuple[dict[str, ToolSet], dict[str, str]]:
    """Return the accepted sets and the entries."""
    return pins.accepted(), entries()


def servers(found: Mapping[str, str] | None = None) -> tuple[McpServer, ...]:
    """Return the servers of the file, and then those of the entries that can be used.

    `found` are the entries if they have been read already; otherwise this asks the database.
    """
    named = conf.mcp_servers()
    taken = {server.name for server in named}
    added: list[McpServer] = []
    for name, text in (entries() if found is None else found).items():
        try:
            if name not in taken:
                added.append(_parsed(name, text))
        except InvalidFile as error:
            # A variable may be gone since. The others must not suffer for it.
            logger.warning("mcp_server.invalid", extra={"server": name, "reason": str(error)})
    return (*named, *added)


def add(name: str, text: str, user: Any) -> None:
    """Store an entry, and record it. Raises `EntryRefused`."""
    if len(text) > McpServerEntry.MAX_TEXT:
        raise EntryRefused(f"The entry is longer than {McpServerEntry.MAX_TEXT} characters.")
    try:
        _parsed(name, text)
    except InvalidFile as error:
        raise EntryRefused(str(error)) from None
    with transaction.atomic():
        existing = {server.name for server in conf.mcp_servers()} | {*entries()}
        if name in existing:
            raise EntryRefused(f"There is a server {name} already. Remove it first, or choose another name.")
        if len(existing) >= MAX_SERVERS:
            raise EntryRefused(f"There are {len(existing)} servers; {MAX_SERVERS} at most are possible.")
        McpServerEntry.objects.create(name=name, text=text, added=timezone.now(), added_by=user.get_username())
        staff.record(user, ADDED, name, detail=text)


def typed(text: str) -> str:
    """Return the text of a refused entry, to be corrected: without lines that may have a secret."""
    lines = text[: McpServerEntry.MAX_TEXT].splitlines()
    kept = [line if any(re.fullmatch(form, " ".join(line.split())) for form in TYPED) else LEFT_OUT for line in lines]
    return conf.masker().text("\n".join(kept))


def remove(name: str, user: Any) -> bool:
    """Remove an entry, and record it. Return False if there is none."""
    with transaction.atomic():
        removed, _ = McpServerEntry.objects.filter(name=name).delete()
        if removed:
            staff.record(user, REMOVED, name)
        return bool(removed)


def _parsed(name: str, text: str) -> McpServer:
    variables: dict[str, str] = settings.MCP_VARIABLES
    return read_entry(name, text, lambda variable: variables.get(variable, ""))
