"""Secrets at rest: values that only this installation can read again, with a key derived from `SECRET_KEY`."""

import base64
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from django.conf import settings

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

PURPOSE: Final = b"orchestrator-service mcp-oauth 1"

T = TypeVar("T", bound=msgspec.Struct)


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A value, and the row that it belongs to, so that it cannot be moved to another one."""

    server: str
    owner: str
    value: msgspec.Raw


def seal(server: str, owner: str, value: msgspec.Struct) -> str:
    """Return a value as an encrypted text (Fernet)."""
    text = msgspec.json.encode(_Sealed(server=server, owner=owner, value=msgspec.Raw(msgspec.json.encode(value))))
    return _cipher(settings.SECRET_KEY).encrypt(text).decode()


def unseal(server: str, owner: str, text: str, kind: type[T]) -> T | None:
    """Return the value of an encrypted text; None if it is of another row or of another `SECRET_KEY`."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - it is loaded only where OAuth is used

    try:
        found = msgspec.json.decode(_cipher(settings.SECRET_KEY).decrypt(text.encode()), type=_Sealed)
        if (found.server, found.owner) != (server, owner):
            return None
        return msgspec.json.decode(found.value, type=kind)
    except (InvalidToken, msgspec.DecodeError, UnicodeError):
        return None


@cache
def _cipher(secret: str) -> "Fernet":
    from cryptography.fernet import Fernet  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    derived = HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
