"""An authorization server on a real socket, which can misbehave, and an MCP server that takes its tokens only."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.tools.mcp_client.fake import Fake, running

CODE = "code-8d1f"


class FakeAuthorization:
    """An authorization server. `changes` replace fields of its metadata, and `answers` whole answers by path."""

    def __init__(self) -> None:
        self.url = ""
        self.changes: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.issued = 0
        self.lifetime: Any = 3_600
        self.challenge = ""
        self.has_ended = False

    @property
    def token(self) -> str:
        """The newest access token."""
        return f"access-{self.issued}-0f3c9a"

    @property
    def refresh(self) -> str:
        """The newest refresh token."""
        return f"refresh-{self.issued}-77aab1"

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append((request.path, form))
        if (answer := self.answers.get(request.path)) is not None:
            status, body = answer
            return (
                web.json_response(body, status=status)
                if not isinstance(body, bytes)
                else web.Response(body=body, status=status)
            )
        if request.path == "/.well-known/oauth-authorization-server":
            metadata = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "registration_endpoint": f"{self.url}/register",
                "revocation_endpoint": f"{self.url}/revoke",
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                **self.changes,
            }
            return web.json_response({name: value for name, value in metadata.items() if value is not None})
        if request.path == "/register":
            return web.json_response({"client_id": "registered-client"}, status=201)
        if request.path == "/authorize":
            self.challenge = request.query["code_challenge"]
            query = {"code": CODE, "state": request.query["state"], "iss": self.url}
            raise web.HTTPFound(f"{request.query['redirect_uri']}?{urlencode(query)}")
        return self._token(form) if request.path == "/token" else web.Response(status=404)

    def _token(self, form: dict[str, str]) -> web.Response:
        if form["grant_type"] == "authorization_code":
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            is_valid = base64.urlsafe_b64encode(digest).decode().rstrip("=") == self.challenge and form["code"] == CODE
        else:
            is_valid = form["refresh_token"] == self.refresh and not self.has_ended
        if not is_valid:
            return web.json_response({"error": "invalid_grant", "error_description": "<script>"}, status=400)
        self.issued += 1
        body = {"access_token": self.token, "token_type": "bearer", "refresh_token": self.refresh}
        return web.json_response({**body, **({"expires_in": self.lifetime} if self.lifetime is not None else {})})


@asynccontextmanager
async def protected() -> AsyncIterator[tuple[Fake, FakeAuthorization]]:
    """Run an MCP server that needs a token, and its authorization server."""
    granting = FakeAuthorization()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", granting.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    granting.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with running() as fake:
            resource = {"resource": fake.entry().url, "authorization_servers": [granting.url]}
            granting.answers["/resource"] = (200, resource)
            challenge = f'Bearer realm="mcp", resource_metadata="{granting.url}/resource"'

            def intercept(method: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes] | None:
                is_valid = headers.get("authorization") == f"Bearer {granting.token}"
                return None if is_valid else (401, {"www-authenticate": challenge}, b"")

            fake.intercept = intercept
            yield fake, granting
    finally:
        await runner.cleanup()
