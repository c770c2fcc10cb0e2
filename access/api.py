"""The API of keys: making, listing and revoking them."""

from functools import partial
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from ninja.responses import Status

from access import authenticator
from access.auth import KeyAuth, caller
from access.keys import issuing
from access.keys.issuing import KeyInvalid
from access.models import ApiKey
from access.schemas import KeyIn, KeyList, KeyOut, NewKeyOut
from storage.reader import read
from storage.writer import writer
from web.errors import ApiError
from web.schemas import LIMIT, OFFSET, errors
from web.validation import invalid_field

router = Router(tags=["keys"], auth=KeyAuth("keys"))

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)


@router.get("/keys", response={200: KeyList, **ERRORS})
async def list_keys(request: HttpRequest, limit: int = LIMIT, offset: int = OFFSET) -> dict[str, Any]:
    """The keys that there are and were, the newest first."""
    return await read(_listed, limit, offset)


@router.post("/keys", response={201: NewKeyOut, **ERRORS, **errors(413, 415)})
async def create_key(request: HttpRequest, response: HttpResponse, body: KeyIn) -> Any:
    """Makes a key that may do no more than the caller's own, and tells it, once. What is made with it is its own."""
    try:
        asked = await read(_wanted, body)
        if not caller(request).scopes.covers(asked.scopes):
            raise ApiError(403, "scope", "A key can not give scopes that it does not have itself.")
        issued = await writer.write(partial(issuing.issue, asked, timezone.now()))
    except KeyInvalid as error:
        raise invalid_field(error.field, str(error)) from None
    authenticator.current().revocations.keyed = True
    response["Cache-Control"] = "no-store"
    return Status(201, {**_told(issued.row), "key": issued.secret})


@router.delete("/keys/{uuid:key_id}", response={204: None, **ERRORS})
async def revoke_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Shuts a key, for ever. Safe to call again."""
    if not await writer.write(partial(_revoke, key_id)):
        raise ApiError(404, "not_found", "There is no such key.")
    return HttpResponse(status=204)


def _wanted(body: KeyIn) -> issuing.KeySpec:
    given = body.model_dump(exclude={"scopes"})
    return issuing.wanted(timezone.now(), words=body.scopes or (), **given)


def _listed(limit: int, offset: int) -> dict[str, Any]:
    rows = ApiKey.objects.all()
    return {"items": [_told(row) for row in rows[offset : offset + limit]], "count": rows.count()}


def _told(row: ApiKey) -> dict[str, Any]:
    return {name: getattr(row, name) for name in KeyOut.model_fields}


def _revoke(key_id: UUID) -> bool:
    """False where there is no such key."""
    row = ApiKey.objects.filter(id=key_id).first()
    if row is not None:
        issuing.revoke(row, timezone.now())
    return row is not None
