"""Authorizations that owners are asked for, and the tokens that they gave: sync functions, each in a transaction."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from tools.approvals.decisions import DecisionRefused, decide
from tools.mcp_oauth.credentials import Client, Tokens
from tools.mcp_oauth.sealed import seal, unseal
from tools.models import McpAuthorization, McpToken

ACTOR = "authorization"
MAX_WITHDRAWN = 16
"""Tokens that are revoked at the authorization servers in one round."""

MAX_ASKED = 32
"""Open authorizations of an owner. The oldest are forgotten."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization that the owner's browser has begun. `verifier` is that of PKCE."""

    client: Client
    verifier: str
    redirect_uri: str


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of an owner, and the client that they were given to."""

    client: Client
    tokens: Tokens


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization that an owner is asked for."""

    server: str
    owner: str
    key: str
    execution_id: UUID | None
    expires: datetime


def sha256(secret: str) -> str:
    """Return the hash under which a random secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def ask(ticket: str, asked: Asked, *, decides: bool) -> None:
    """Store that an owner is asked. Only if it `decides`, the authorization approves the execution."""
    own = McpAuthorization.objects.filter(owner=asked.owner)
    own.filter(expires__lte=timezone.now()).delete()
    old = list(own.order_by("-expires").values_list("pk", flat=True)[MAX_ASKED - 1 :])
    own.filter(pk__in=old).delete()
    McpAuthorization.objects.create(
        ticket_sha256=sha256(ticket),
        server=asked.server,
        owner=asked.owner,
        key=asked.key,
        execution_id=asked.execution_id,
        decides=decides,
        expires=asked.expires,
    )


def asked(ticket: str) -> Asked | None:
    """Return the open authorization of a ticket."""
    row = McpAuthorization.objects.filter(ticket_sha256=sha256(ticket), expires__gt=timezone.now()).first()
    if row is None:
        return None
    return Asked(server=row.server, owner=row.owner, key=row.key, execution_id=row.execution_id, expires=row.expires)


def start(ticket: str, state: str, browser: str, started: Started) -> None:
    """Store the values that the callback needs, and the browser that must bring the state back."""
    for row in McpAuthorization.objects.filter(ticket_sha256=sha256(ticket)):
        row.state_sha256, row.browser_sha256 = sha256(state), sha256(browser)
        row.sealed = seal(row.server, row.owner, started)
        row.save(update_fields=["state_sha256", "browser_sha256", "sealed"])


def take(state: str, browser: str) -> tuple[Asked, Started] | None:
    """Return the authorization that a browser comes back from. It can be taken once."""
    rows = McpAuthorization.objects.filter(
        state_sha256=sha256(state), browser_sha256=sha256(browser), expires__gt=timezone.now()
    )
    row = rows.first()
    # Of two requests at the same time, only one takes it.
    if row is None or not rows.filter(pk=row.pk).update(state_sha256=""):
        return None
    started = unseal(row.server, row.owner, row.sealed, Started)
    if started is None:
        return None
    found = Asked(server=row.server, owner=row.owner, key=row.key, execution_id=row.execution_id, expires=row.expires)
    return found, started


def grant_of(server: str, owner: str) -> Grant | None:
    """Return the grant of an owner for a server."""
    row = McpToken.objects.filter(server=server, owner=owner, withdrawn=None).first()
    return grant_in(row) if row else None


def grant_in(row: McpToken) -> Grant | None:
    """Return the grant of a row; None if it cannot be read any more."""
    return unseal(row.server, row.owner, row.sealed, Grant)


def granted(asked: Asked, grant: Grant) -> bool:
    """Store a new grant, and approve the executions that wait for nothing else.

    Return False if the key was revoked meanwhile: the tokens are withdrawn at once.
    """
    now = timezone.now()
    row: dict[str, Any] = {"server": asked.server, "owner": asked.owner}
    found = {"key": asked.key, "sealed": seal(asked.server, asked.owner, grant), "granted": now}
    waiting = McpAuthorization.objects.filter(**row)
    if not waiting.filter(key=asked.key).exists():
        McpToken.objects.create(**row, **found, withdrawn=now)
        return False
    McpToken.objects.update_or_create(**row, withdrawn=None, defaults=found)
    for execution_id in waiting.filter(decides=True).values_list("execution_id", flat=True):
        if execution_id is None:
            continue
        try:
            decide(execution_id, "approved", by=ACTOR, params_sha256=None, owner=asked.owner)
        except DecisionRefused:
            # An operator has decided it, or its time is over.
            continue
    waiting.delete()
    return True


def replace(server: str, owner: str, old: Grant, new: Grant | None) -> Grant | None:
    """Replace a grant, or remove it, unless another process has changed it. Return the one that is stored now."""
    row = McpToken.objects.select_for_update().filter(server=server, owner=owner, withdrawn=None).first()
    stored = unseal(server, owner, row.sealed, Grant) if row else None
    if row is None or stored != old:
        return stored
    if new is None:
        row.delete()
        return None
    row.sealed = seal(server, owner, new)
    row.save(update_fields=["sealed"])
    return new


def forget_key(key: str) -> None:
    """Withdraw the tokens that were asked for with a key, and remove the open authorizations of that key."""
    McpToken.objects.filter(key=key, withdrawn=None).update(withdrawn=timezone.now())
    McpAuthorization.objects.filter(key=key).delete()


def withdrawn() -> list[McpToken]:
    """Return tokens that the authorization servers do not know to be withdrawn, oldest first."""
    return list(McpToken.objects.filter(withdrawn__isnull=False).order_by("withdrawn")[:MAX_WITHDRAWN])


def remove(keys: Sequence[int]) -> None:
    """Remove tokens that are withdrawn."""
    McpToken.objects.filter(pk__in=keys, withdrawn__isnull=False).delete()
