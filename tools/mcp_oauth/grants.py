"""Discovery, registration and grants of OAuth 2.1, with the models of the official SDK (extra `mcp`).

Sources: MCP's specification of authorization, RFC 9728 (protected resource), RFC 8414 (authorization server). RFC 7591
(registration), RFC 7636 (PKCE), RFC 8707 (resource), RFC 9207 (issuer), RFC 7009 (revocation).
"""

import base64
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urljoin

import msgspec
from mcp.client.auth import utils
from mcp.client.auth.oauth2 import PKCEParameters
from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import AnyHttpUrl, ValidationError

from tools.mcp_client.servers import McpServer
from tools.mcp_oauth.credentials import Client, Tokens
from tools.mcp_oauth.guarded_http import NOT_HTTPS, GuardedHttp, HttpReply, OAuthFailed

OK: Final = 200
CREATED: Final = 201
UNAUTHORIZED: Final = 401
METHODS: Final = ("none", "client_secret_post", "client_secret_basic")
"""The ways to authenticate at the token endpoint that are supported."""

CLIENT_NAME: Final = "Orchestrator Service"
MAX_TOKEN: Final = 16 * 1024
MAX_FIELD: Final = 2_000
ERROR: Final = re.compile(r"[a-z_]{1,64}")
DEFAULT_SECONDS: Final = 3_600
MAX_SECONDS: Final = 1e9
TOKEN: Final = re.compile("[!-~]+")


async def discover(server: McpServer, redirect_uri: str) -> Client:
    """Find the authorization server of an MCP server, and register there if no client is configured.

    Raises `OAuthFailed`.
    """
    http = GuardedHttp(server.url)
    resource, scopes, issuer = await _protected_resource(server, http)
    metadata = await _metadata(server, http, issuer)
    if "S256" not in (metadata.code_challenge_methods_supported or ()):
        raise OAuthFailed("The authorization server does not support PKCE with S256, which OAuth 2.1 requires.")
    # The browser goes there, and so does what the owner enters.
    if not http.allows(str(metadata.authorization_endpoint)):
        raise OAuthFailed(NOT_HTTPS)
    scope = server.oauth_scope or " ".join(scopes or metadata.scopes_supported or ())
    client_id, secret, method = server.oauth_client_id, server.oauth_client_secret, ""
    if not client_id:
        client_id, secret, method = await _registered(http, metadata, redirect_uri, scope)
    if not method:
        method = "client_secret_post" if secret else "none"
    return Client(
        issuer=str(metadata.issuer),
        resource=resource,
        scope=scope,
        authorization_endpoint=str(metadata.authorization_endpoint),
        token_endpoint=str(metadata.token_endpoint),
        revocation_endpoint=str(metadata.revocation_endpoint or ""),
        client_id=client_id,
        client_secret=secret,
        method=method,
        names_issuer=metadata.authorization_response_iss_parameter_supported is True,
    )


def new_verifier() -> tuple[str, str]:
    """Return a code verifier of PKCE and its challenge."""
    made = PKCEParameters.generate()
    return made.code_verifier, made.code_challenge


def authorization_url(client: Client, redirect_uri: str, state: str, challenge: str) -> str:
    """Return where the owner's browser asks for the authorization."""
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "resource": client.resource,
        **({"scope": client.scope} if client.scope else {}),
    }
    mark = "&" if "?" in client.authorization_endpoint else "?"
    return f"{client.authorization_endpoint}{mark}{urlencode(query)}"


async def exchange(server: McpServer, client: Client, code: str, verifier: str, redirect_uri: str) -> Tokens:
    """Return the tokens for an authorization code. Raises `OAuthFailed`."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    return _tokens(await _token_request(server, client, form))


async def refreshed(server: McpServer, client: Client, tokens: Tokens) -> Tokens | None:
    """Return new tokens for a refresh token; None if the authorization has ended. Raises `OAuthFailed`."""
    if not tokens.refresh:
        return None
    reply = await _token_request(server, client, {"grant_type": "refresh_token", "refresh_token": tokens.refresh})
    # The owner, or the server, has withdrawn the authorization. Other errors may pass.
    if str(reply.json.get("error")) in {"invalid_grant", "invalid_client", "unauthorized_client"}:
        return None
    found = _tokens(reply)
    return found if found.refresh else msgspec.structs.replace(found, refresh=tokens.refresh)


async def revoke(server: McpServer, client: Client, tokens: Tokens) -> None:
    """Withdraw tokens at the authorization server, if it can (RFC 7009). Raises `OAuthFailed`."""
    if client.revocation_endpoint:
        form, headers = _authenticated(client, {"token": tokens.refresh or tokens.access})
        await GuardedHttp(server.url).post_form(client.revocation_endpoint, form, headers)


async def _protected_resource(server: McpServer, http: GuardedHttp) -> tuple[str, list[str] | None, str]:
    """Return the resource, its scopes, and the issuer of its authorization server, or an empty text."""
    own = resource_url_from_server_url(server.url)
    challenge = (await http.get(server.url)).challenge
    named = re.search(r'resource_metadata="([^"]{1,2000})"', challenge)
    for url in utils.build_protected_resource_metadata_discovery_urls(named[1] if named else None, server.url):
        reply = await http.get(url)
        if reply.status != OK:
            continue
        try:
            found = ProtectedResourceMetadata.model_validate_json(reply.data)
        except ValidationError:
            continue
        if not check_resource_allowed(requested_resource=own, configured_resource=str(found.resource)):
            raise OAuthFailed("The metadata of the MCP server is about another resource.")
        return str(found.resource), found.scopes_supported, str(found.authorization_servers[0])
    return own, None, ""


async def _metadata(server: McpServer, http: GuardedHttp, issuer: str) -> OAuthMetadata:
    for url in utils.build_oauth_authorization_server_metadata_discovery_urls(issuer or None, server.url):
        reply = await http.get(url)
        if reply.status != OK:
            continue
        try:
            found = OAuthMetadata.model_validate_json(reply.data)
        except ValidationError:
            continue
        # Without a named issuer, the MCP server's origin is the issuer (RFC 8414, 3.3). Else it could claim to be an
        # honest server, whose codes would come to its own token endpoint.
        expected = issuer or str(AnyHttpUrl(urljoin(server.url, "/")))
        if not utils.issuers_match(str(found.issuer), expected):
            raise OAuthFailed("The authorization server says that it is another one.")
        return found
    raise OAuthFailed("No metadata of an authorization server was found.")


async def _registered(
    http: GuardedHttp, metadata: OAuthMetadata, redirect_uri: str, scope: str
) -> tuple[str, str, str]:
    """Register this service as a client. Return its ID, its secret and the method of authentication."""
    if metadata.registration_endpoint is None:
        raise OAuthFailed("The authorization server takes no registrations: set oauth_client_id in MCP_SERVERS_FILE.")
    wanted = {
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
        **({"scope": scope} if scope else {}),
    }
    reply = await http.post_json(str(metadata.registration_endpoint), wanted)
    found = reply.json if reply.status in {OK, CREATED} else {}
    client_id, secret = found.get("client_id"), found.get("client_secret") or ""
    method = str(found.get("token_endpoint_auth_method") or "")
    is_usable = isinstance(client_id, str) and isinstance(secret, str) and method in {"", *METHODS}
    if not is_usable or len(f"{client_id}{secret}") > MAX_FIELD or (method not in {"", "none"} and not secret):
        raise OAuthFailed(f"The authorization server did not register this service (status {reply.status}).")
    return str(client_id), secret, method


async def _token_request(server: McpServer, client: Client, form: dict[str, str]) -> HttpReply:
    values, headers = _authenticated(client, {**form, "resource": client.resource})
    return await GuardedHttp(server.url).post_form(client.token_endpoint, values, headers)


def _authenticated(client: Client, form: dict[str, str]) -> tuple[dict[str, str], Mapping[str, str]]:
    """Return the form and the header fields of a request that this client may make."""
    if client.method == "client_secret_basic" and client.client_secret:
        # Both are form-encoded first (RFC 6749, 2.3.1).
        pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
        return form, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    secret = {"client_secret": client.client_secret} if client.client_secret else {}
    return {**form, "client_id": client.client_id, **secret}, {}


def _tokens(reply: HttpReply) -> Tokens:
    found: dict[str, Any] = reply.json if reply.status in {OK, CREATED} else {}
    access, refresh = found.get("access_token"), found.get("refresh_token") or ""
    is_bearer = str(found.get("token_type", "")).lower() == "bearer"
    if not is_bearer or not _is_token(access) or (refresh and not _is_token(refresh)):
        # The error is one of a few words of RFC 6749; its description may be anything.
        said = reply.json.get("error")
        word = f": {said}" if isinstance(said, str) and ERROR.fullmatch(said) else ""
        raise OAuthFailed(f"The authorization server gave no token (status {reply.status}{word}).")
    seconds = found.get("expires_in")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds <= 0:
        seconds = DEFAULT_SECONDS
    return Tokens(access=str(access), refresh=refresh, expires=time.time() + min(float(seconds), MAX_SECONDS))


def _is_token(text: Any) -> bool:
    """Return whether a text can be sent as a token in a header."""
    return isinstance(text, str) and 0 < len(text) <= MAX_TOKEN and TOKEN.fullmatch(text) is not None
