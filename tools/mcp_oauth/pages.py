"""The pages on which an owner authorizes an MCP server. They need no key: a link is a secret that is used once."""

from http import HTTPStatus
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from storage.reader import read
from tools.mcp_client import entries
from tools.mcp_client.servers import McpServer
from tools.mcp_oauth import flow, store
from tools.mcp_oauth.guarded_http import OAuthFailed

TEMPLATE: Final = "tools/authorization.html"
COOKIE: Final = "orchestrator_oauth"
COOKIE_SECONDS: Final = 1_800
MAX_CHARS: Final = 4_096

GONE: Final = "This link is not valid any more. Ask the agent again, and use the link that you get then."
LOST: Final = "This answer belongs to no authorization that this browser has begun. Open the agent's link again."
DENIED: Final = "The authorization was not given. Nothing was changed; the link of the agent still works."
DONE: Final = "{server} can now be used. You can close this page: the agent continues by itself."


@never_cache
@require_GET
async def link(request: HttpRequest, ticket: str) -> HttpResponse:
    """Say who wants which authorization, before anything is begun."""
    asked = await read(store.asked, ticket)
    if asked is None:
        return _page(request, "Not valid", GONE, HTTPStatus.NOT_FOUND)
    context = {"title": f"Authorize {asked.server}", "asked": asked, "continue_url": f"{request.path}/continue"}
    return render(request, TEMPLATE, context)


@never_cache
@require_GET
async def leave(request: HttpRequest, ticket: str) -> HttpResponse:
    """Send the browser to the authorization server, and remember that it was this one."""
    asked = await read(store.asked, ticket)
    server = await _server(asked.server) if asked else None
    if server is None:
        return _page(request, "Not valid", GONE, HTTPStatus.NOT_FOUND)
    try:
        url, browser = await flow.begin(server, ticket)
    except OAuthFailed as error:
        return _page(request, "Not possible now", str(error), HTTPStatus.BAD_GATEWAY)
    redirect = HttpResponseRedirect(url)
    # The answer comes by a link from another site, so the cookie must not be strict.
    is_secure = flow.redirect_uri().startswith("https:")
    cookie: dict[str, Any] = {"max_age": COOKIE_SECONDS, "httponly": True, "samesite": "Lax", "secure": is_secure}
    redirect.set_cookie(COOKIE, browser, path=flow.PAGES, **cookie)
    return redirect


@never_cache
@require_GET
async def callback(request: HttpRequest) -> HttpResponse:
    """Take the answer of the authorization server, which the browser brings."""
    given = {name: request.GET.get(name, "")[:MAX_CHARS] for name in ("state", "code", "error")}
    browser = request.COOKIES.get(COOKIE, "")[:MAX_CHARS]
    # An answer without a code keeps the link: the owner may have chosen the wrong account.
    if not given["code"]:
        return _page(request, "Not authorized", DENIED if given["error"] else LOST, HTTPStatus.BAD_REQUEST)
    taken = await flow.taken(given["state"], browser)
    server = await _server(taken[0].server) if taken else None
    if taken is None or server is None:
        return _page(request, "Not authorized", LOST, HTTPStatus.BAD_REQUEST)
    try:
        await flow.finish(server, *taken, given["code"], request.GET.get("iss"))
    except OAuthFailed as error:
        return _page(request, "Not authorized", str(error), HTTPStatus.BAD_GATEWAY)
    done = _page(request, "Authorized", DONE.format(server=server.name), HTTPStatus.OK)
    done.delete_cookie(COOKIE, path=flow.PAGES)
    return done


async def _server(name: str) -> McpServer | None:
    """Return a server that still has OAuth among its settings."""
    named = await read(entries.servers)
    return next((server for server in named if server.name == name and server.oauth), None)


def _page(request: HttpRequest, title: str, message: str, status: HTTPStatus) -> HttpResponse:
    return render(request, TEMPLATE, {"title": title, "message": message}, status=status)


urls: Final = [
    path("callback", callback),
    path("<slug:ticket>", link),
    path("<slug:ticket>/continue", leave),
]
