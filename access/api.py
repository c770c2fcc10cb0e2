"""The API of keys: create, list and revoke."""

from functools import partial
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from ninja.responses import Status

from access import authenticator
from access.auth import KeyAuth, caller
from access.caller import Caller
from access.keys import issuing
from access.keys.issuing import KeyInvalid
from access.models import ApiKey
from access.schemas import KeyIn, KeyList, NewKeyOut
from storage.reader import read
from storage.writer import writer
from web.errors import ApiError
from web.schemas import LIMIT, OFFSET, errors
from web.validation import invalid_fields

router = Router(tags=["keys"], auth=KeyAuth("keys"))

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)


@router.get("/keys", response={200: KeyList, **ERRORS})
async def list_keys(request: HttpRequest, limit: int = LIMIT, offset: int = OFFSET) -> dict[str, Any]:
    """List the keys, revoked ones too, the newest first."""
    return await read(_listed, limit, offset)


@router.post("/keys", response={201: NewKeyOut, **ERRORS, **errors(413, 415)})
async def create_key(request: HttpRequest, response: HttpResponse, body: KeyIn) -> Any:
    """Create a key with at most the caller's own scopes, and return it once.

    It belongs to the caller's user, and is revoked with the caller's key. A key with limits cannot create keys.
    """
    try:
        given = body.model_dump(exclude={"scopes"})
        maker = caller(request)
        given |= {"user_id": maker.user_id, "made_by": maker.key}
        asked = await read(partial(issuing.validated, timezone.now(), words=body.scopes or (), **given))
        # Otherwise a key with the scope `keys` could create a key for everything else.
        if not maker.scopes.covers(asked.scopes):
            raise ApiError(403, "scope", "A key cannot grant scopes that it does not have.")
        await read(partial(_check_unlimited, maker))
        issued = await writer.write(partial(issuing.issue, asked, timezone.now(), by=maker.owner))
    except KeyInvalid as error:
        raise invalid_fields([{"loc": (field,), "msg": text} for field, text in error.problems.items()]) from None
    # From the first key on callers need one. This process knows at once, others within a second.
    authenticator.current().revocations.keyed = True
    # No cache may store the key.
    response["Cache-Control"] = "no-store"
    return Status(201, {**issued.row.as_dict(), "key": issued.secret})


@router.delete("/keys/{uuid:key_id}", response={204: None, **ERRORS})
async def revoke_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Revoke a key permanently. Safe to repeat."""
    if not await writer.write(partial(_revoke, key_id, caller(request).owner)):
        raise ApiError(404, "not_found", "Key not found.")
    return HttpResponse(status=204)


def _check_unlimited(maker: Caller) -> None:
    """Raise `ApiError` (403) if the caller has a limit, which a new key would not share."""
    row = ApiKey.objects.filter(id=maker.key).only("expires").first() if maker.key else None
    if maker.rate or maker.max_runs is not None or maker.budgets or (row is not None and row.expires is not None):
        error = "A key with an expiry, a rate, budgets or a maximum of runs cannot create keys, which would have none."
        raise ApiError(403, "limited_key", error)


def _listed(limit: int, offset: int) -> dict[str, Any]:
    rows = ApiKey.objects.all()
    return {"items": [row.as_dict() for row in rows[offset : offset + limit]], "count": rows.count()}


def _revoke(key_id: UUID, by: str) -> bool:
    """Return False if there is no such key."""
    row = ApiKey.objects.filter(id=key_id).first()
    if row is not None:
        issuing.revoke(row, timezone.now(), by=by)
    return row is not None
