"""The user behind the cookie of the console's session, for requests that Django's middleware does not see."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.http.cookie import parse_cookie

from web.headers import Headers, values


def session_key(headers: Headers) -> str:
    """Return the key of the session that a request's cookies name, or an empty text."""
    cookies = b"; ".join(values(headers, b"cookie")).decode("latin-1")
    return parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME, "")


def is_staff(key: str, permissions: Sequence[str] = ()) -> bool:
    """Return whether the user of a session is staff, with these permissions. Sync; raises the database's errors."""
    if not key:
        return False
    # Django checks the session's hash of the password too.
    request: Any = SimpleNamespace(session=SessionStore(key))
    user = get_user(request)
    return user.is_active and bool(getattr(user, "is_staff", False)) and user.has_perms(permissions)
