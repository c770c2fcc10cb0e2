"""The text that a ready service prints: its address, and commands and pages that work when they are pasted."""

import shlex
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.db import DatabaseError

from access import conf as access_conf
from access.models import ApiKey
from access.network.host_check import is_allowed, is_loopback
from command_line.database import is_missing
from command_line.program import FOLDER, PROGRAM
from orchestrator_site import conf

ALL_ADDRESSES: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound

TEXT: Final = """
Listening on http://{address}

  try it:        {curl}
  playground:    {pages}/
  chat:          {program} chat --url {base}
  API:           {pages}/docs
  audit console: {pages}/admin/   (create a user: {program} createsuperuser)
"""
CURL: Final = (
    "curl -N {local}/chat/stream -H 'Content-Type: application/json'{headers} "
    """-d '{{"message": "What is the capital of France?"}}'"""
)
KEY: Final = ' -H "Authorization: Bearer $API_KEY"'


def is_keyed() -> bool:
    """Return whether callers need a key. A database that does not exist yet has none, and is not created."""
    try:
        return bool(access_conf.api_key()) or (not is_missing() and ApiKey.objects.any())
    except DatabaseError:
        return False


def welcome(host: str, port: int, *, keyed: bool) -> str:
    """Return the text for a service that listens at an address. Every URL names a host that the service accepts."""
    site = conf.site()
    reached = "127.0.0.1" if host in ALL_ADDRESSES else host
    names = [reached, "localhost"] if is_loopback(reached) else [reached]
    accepted = [name for name in names if is_allowed(name, site.hosts) and (keyed or is_loopback(name))]
    local = f"http://{_bracketed(accepted[0] if accepted else reached)}:{port}"
    public = site.public_url if is_allowed(urlsplit(site.public_url).hostname or "", site.hosts) else ""
    named = [name.lstrip(".") for name in site.hosts if name != "*"]
    base, headers = local, KEY if keyed else ""
    if not accepted and keyed and named:
        # The name may lead to a proxy, or not exist yet, so curl connects to the address.
        headers = f" -H {shlex.quote(f'Host: {named[0]}')}{headers}"
        base = f"{public}{site.root_path}" if public else f"http://{named[0]}:{port}"
    return TEXT.format(
        address=f"{_bracketed(host)}:{port}",
        curl=CURL.format(local=local, headers=headers),
        program=_program(site.env_file),
        base=base,
        pages=f"{public}{site.root_path}" if public else base,
    )


def _program(env_file: Path) -> str:
    # A new terminal does not have this process's ENV_FILE.
    is_named = env_file != FOLDER / ".env" and env_file.is_file()
    return f"{PROGRAM} --env-file {shlex.quote(str(env_file))}" if is_named else PROGRAM


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
