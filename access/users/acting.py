"""Middleware that attributes the changes of a request to the user who is logged in."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audit import staff


class ActingUser:
    """Names the user of the request to the audit chain."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # The user is read from the database when it is first asked for, which most pages without a login never do.
        with staff.acting(lambda: request.user.get_username()):  # noqa: PLW0108 - a login replaces the user
            return self._get_response(request)
