"""The audit entries of logins to the console, those that failed included."""

import time
from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction

from audit import chain, conf
from audit.chain import Change

LOGIN: Final = "console.login"
FAILED: Final = "console.login_failed"
LOGOUT: Final = "console.logout"

WINDOW_SECONDS: Final = 60.0
MAX_FAILURES: Final = 20
"""Entries about failed logins in one window of one process. The chain only grows, and anyone can fail to log in."""


class Failures:
    """The failed logins of one process: a bounded number is recorded, and the others are counted."""

    def __init__(self, most: int = MAX_FAILURES, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._began = now()
        self._recorded = 0
        self._left_out = 0

    def admit(self) -> int | None:
        """Return the number of failures that were left out since the last recorded one; None to leave this one out."""
        moment = self._now()
        if moment - self._began >= WINDOW_SECONDS:
            self._began, self._recorded = moment, 0
        if self._recorded >= self._most:
            self._left_out += 1
            return None
        self._recorded += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


failures = Failures()


def connect() -> None:
    """Listen to Django's signals. Calling this again changes nothing."""
    user_logged_in.connect(logged_in, dispatch_uid="audit.logged_in")
    user_logged_out.connect(logged_out, dispatch_uid="audit.logged_out")
    user_login_failed.connect(login_failed, dispatch_uid="audit.login_failed")


def logged_in(user: Any, **_: Any) -> None:
    """Record a login."""
    _record(LOGIN, user, user.get_username())


def logged_out(user: Any, **_: Any) -> None:
    """Record a logout, if someone was logged in."""
    if user is not None:
        _record(LOGOUT, user, user.get_username())


def login_failed(credentials: dict[str, Any], **_: Any) -> None:
    """Record a failed login, with the user if the name is one."""
    left_out = failures.admit()
    if left_out is None:
        return
    model = get_user_model()
    # Never the name itself: people type their password there.
    user = model.objects.filter(username=str(credentials.get("username", ""))[:150].replace("\x00", "")).first()
    _record(FAILED, user, "", {"left_out": left_out} if left_out else None)


def _record(kind: str, user: Any, actor: str, detail: Any = None) -> None:
    if not conf.is_kept():
        return
    subject = "" if user is None else str(user.pk)
    owner = f"user:{subject}" if subject else ""
    with transaction.atomic():
        chain.record(Change(kind=kind, subject=subject, owner=owner, actor=actor, detail=detail))
