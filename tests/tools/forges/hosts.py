"""A host of repositories on loopback: git's own HTTP backend, and the APIs of GitHub and GitLab."""

import asyncio
import base64
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.tools.git.building import PLAIN, Built
from tools.forges.allowed import AllowedRemotes, remotes

TOKEN = "canary-token-0123456789abcdef"
BACKEND = "/usr/lib/git-core/git-http-backend"


class Host:
    """The host. `requests` are the requests so far, and `pulls` its open pull requests.

    It answers `statuses` to the next requests whose path has the key, and `answers` to all whose method and path have
    it. While it `holds`, a request to make a pull request is `held` and gets no answer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.pulls: list[dict[str, Any]] = []
        self.statuses: dict[str, int] = {}
        self.answers: dict[str, Callable[[web.Request], web.StreamResponse]] = {}
        self.labels: list[str] = []
        self.port = 0
        self.unauthorized = 0
        self.holds = False
        self.held = asyncio.Event()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def allowed(self, kind: str = "github", pattern: str = "acme/*", token: str = TOKEN) -> AllowedRemotes:
        tokens = {f"127.0.0.1:{self.port}": token} if token else {}
        return AllowedRemotes(remotes(f"{kind}:{self.origin}/{pattern}={self.origin}/api"), tokens)

    def repository(self, name: str, original: Built) -> Built:
        """Add a copy of a bare repository."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        return Built.copy(original, self.folder / f"{name}.git")

    def add_pull(self, head: str, base: str, *, owner: str = "acme", **fields: Any) -> dict[str, Any]:
        """Add an open pull request from a repository of an owner, and return it."""
        number = len(self.pulls) + 1
        url = f"{self.origin}/pull/{number}"
        pull = {
            **fields,
            "number": number,
            "iid": number,
            "html_url": url,
            "web_url": url,
            "head": {"ref": head, "repo": {"full_name": f"{owner}/site"}},
            "base": {"ref": base, "repo": {"full_name": "acme/site"}},
            "source_branch": head,
            "target_branch": base,
            "source_project_id": owner,
            "target_project_id": "acme",
        }
        self.pulls.append(pull)
        return pull

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        for part, status in list(self.statuses.items()):
            if part in request.raw_path:
                del self.statuses[part]
                if status == 302:
                    return web.Response(status=302, headers={"Location": f"{self.origin}/stolen"})
                return web.json_response({"message": "refused"}, status=status)
        for part, make in self.answers.items():
            if part in f"{request.method} {request.raw_path}":
                return make(request)
        if request.path.startswith("/api/"):
            return await self._api(request)
        return await self._git(request)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        is_known = TOKEN in (request.headers.get("Private-Token", ""), request.headers.get("Authorization", "")[7:])
        if not is_known:
            self.unauthorized += 1
            return web.json_response({"message": "Bad credentials"}, status=401)
        if request.path.endswith("/labels"):
            self.labels = (await request.json())["labels"]
            return web.json_response([])
        if request.method == "GET":
            query = request.query
            head = query.get("head", "").partition(":")[2] or query.get("source_branch")
            base = query.get("base") or query.get("target_branch")
            found = [pull for pull in self.pulls if (pull["head"]["ref"], pull["base"]["ref"]) == (head, base)]
            return web.json_response(found)
        if self.holds:
            self.held.set()
            await asyncio.sleep(3_600)
        fields = await request.json()
        head, base = (fields.get(a) or fields.get(b) for a, b in (("head", "source_branch"), ("base", "target_branch")))
        others = {name: value for name, value in fields.items() if name not in {"head", "base"}}
        return web.json_response(self.add_pull(head, base, **others), status=201)

    async def _git(self, request: web.Request) -> web.StreamResponse:
        user = base64.b64decode(request.headers.get("Authorization", "Basic ")[6:]).decode().partition(":")[2]
        if user != TOKEN and "public" not in request.path:
            self.unauthorized += 1
            return web.Response(status=401)
        environment = {
            **PLAIN,
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": unquote(request.path),
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_USER": "alice",
        }
        body = await request.read()
        process = await asyncio.create_subprocess_exec(
            BACKEND, env={**environment, "CONTENT_LENGTH": str(len(body))}, stdin=-1, stdout=-1, stderr=-3
        )
        try:
            output, _ = await process.communicate(body)
        finally:
            # The client may have been killed meanwhile, which cancels this.
            if process.returncode is None:
                process.kill()
                await process.wait()
        head, _, content = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, body=content, headers=headers)


class Trap:
    """An address that counts connections and keeps what is sent to it, and a program that leaves a mark.

    `host` is the allowed host.
    """

    def __init__(self, folder: Path, host: Host) -> None:
        self.host = host
        self.received = b""
        self.connections = 0
        self.port = 0
        self.mark = folder / "fired"
        self.program = folder / "evil.sh"
        self.program.write_text(f"#!/bin/sh\nenv >> {shlex.quote(str(self.mark))}\necho $0 $@ >> {self.mark}\ncat\n")
        self.program.chmod(0o755)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.received += await reader.read(1_000)
        writer.close()


@asynccontextmanager
async def running(host: Host) -> AsyncIterator[Host]:
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", host.answer)
    # A request that the host holds would otherwise keep it for a minute.
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host.port = site._server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        await runner.cleanup()
