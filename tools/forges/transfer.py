"""Transfers of git over HTTP, without a git process: the token stays in this one.

Sources: gitprotocol-http(5), gitprotocol-pack(5), gitprotocol-capabilities(5).
"""

import re
from collections.abc import Mapping
from typing import IO, Final, Self

import msgspec

from tools.base import ToolError
from tools.forges.allowed import Target
from tools.forges.connection import Answer, Connection
from tools.forges.forge import basic
from tools.forges.pkt_line import FLUSH, malformed, pkt_line, pkt_lines, read_line

MIB: Final = 1024 * 1024
MAX_REFS_BYTES: Final = 32 * MIB
MAX_REPORT_BYTES: Final = MIB
MAX_ANSWER_BYTES: Final = 1024
UPLOAD: Final = "git-upload-pack"
RECEIVE: Final = "git-receive-pack"
SHA: Final = re.compile(r"[0-9a-f]{40}")
NO_COMMIT: Final = "0" * 40
BRANCHES: Final = "refs/heads/"
USERS: Final = {"github": "x-access-token", "gitlab": "oauth2", "git": "git"}
MAX_REASON: Final = 200


class Advertised(msgspec.Struct, frozen=True, kw_only=True):
    """The refs of a remote repository, each with its commit, and what its git can do.

    `default` is the name of its default branch; empty if it has none.
    """

    refs: Mapping[str, str]
    capabilities: frozenset[str]
    default: str

    @classmethod
    def parse(cls, body: bytes, service: str) -> Self:
        """Return the refs in the answer to the first request. Raises `ToolError`."""
        lines = list(pkt_lines(body))
        if lines[:1] != [f"# service={service}\n".encode()]:
            raise malformed()
        refs: dict[str, str] = {}
        capabilities: frozenset[str] = frozenset()
        for line in filter(None, lines[1:]):
            text, separator, words = line.decode(errors="replace").rstrip("\n").partition("\0")
            if separator:
                capabilities = frozenset(words.split())
            sha, _, name = text.partition(" ")
            if "object-format=sha1" not in capabilities and any(w.startswith("object-format=") for w in capabilities):
                raise ToolError(
                    "The repository on the host has SHA-256 names, which is not supported.", code="not_allowed"
                )
            if SHA.fullmatch(sha) and name:
                refs[name] = sha
        default = next((word for word in capabilities if word.startswith(f"symref=HEAD:{BRANCHES}")), "")
        return cls(refs=refs, capabilities=capabilities, default=default.partition(BRANCHES)[2])

    def branch(self, name: str) -> str:
        """Return the commit of a branch, or an empty text."""
        return self.refs.get(BRANCHES + name, "")


class GitRemote:
    """A repository on an allowed host."""

    def __init__(self, connection: Connection, target: Target, token: str) -> None:
        self._connection = connection
        self._target = target
        self._headers = {"Authorization": basic(USERS[target.remote.kind], token)} if token else {}

    async def advertised(self, service: str = UPLOAD) -> Advertised:
        """Return the refs of the repository. Raises `ToolError`."""
        answer = await self._connection.request(
            "GET",
            f"{self._target.url}/info/refs?service={service}",
            headers=self._headers,
            max_bytes=MAX_REFS_BYTES,
        )
        self._check(answer)
        return Advertised.parse(answer.body, service)

    async def has(self, want: str, commit: str) -> bool:
        """Return whether the repository has a commit. `want` is the commit of one of its branches."""
        request = pkt_line(f"want {want} agent=git/2.40\n") + FLUSH + pkt_line(f"have {commit}\n") + pkt_line("done\n")
        # The pack that follows is not needed.
        answer = await self._post(UPLOAD, request, MAX_ANSWER_BYTES, is_prefix=True)
        line, _ = read_line(answer.body, 0)
        return line == f"ACK {commit}\n".encode()

    async def push(self, branch: str, old: str, new: str, pack: bytes) -> None:
        """Set a branch from the commit `old`, or from none, to `new`. The host refuses it if the branch is elsewhere.

        Raises `ToolError`.
        """
        refs = await self.advertised(RECEIVE)
        if "report-status" not in refs.capabilities:
            raise malformed()
        command = f"{old or NO_COMMIT} {new} {BRANCHES}{branch}\0 report-status agent=git/2.40"
        answer = await self._post(RECEIVE, pkt_line(command) + FLUSH + pack, MAX_REPORT_BYTES)
        lines = [line for line in pkt_lines(answer.body) if line]
        if lines[:2] == [b"unpack ok\n", f"ok {BRANCHES}{branch}\n".encode()]:
            return
        reason = b" ".join(lines)[:MAX_REASON].decode(errors="replace").replace("\n", " ").strip()
        raise ToolError(f"{self._target.remote.host} refused the push: {reason}.", code="conflict")

    async def fetch(self, want: str, depth: int, into: IO[bytes], max_bytes: int) -> None:
        """Write the answer with the pack of a commit and of `depth` commits into a file. Raises `ToolError`."""
        capabilities = "no-progress ofs-delta shallow agent=git/2.40"
        request = pkt_line(f"want {want} {capabilities}\n") + pkt_line(f"deepen {depth}\n") + FLUSH + pkt_line("done\n")
        await self._post(UPLOAD, request, max_bytes, into)

    async def _post(
        self, service: str, body: bytes, max_bytes: int, into: IO[bytes] | None = None, *, is_prefix: bool = False
    ) -> Answer:
        headers = {
            **self._headers,
            "Content-Type": f"application/x-{service}-request",
            "Accept": f"application/x-{service}-result",
        }
        url = f"{self._target.url}/{service}"
        answer = await self._connection.request(
            "POST", url, headers=headers, body=body, max_bytes=max_bytes, into=into, is_prefix=is_prefix
        )
        self._check(answer)
        return answer

    def _check(self, answer: Answer) -> None:
        host = self._target.remote.host
        if answer.status in {401, 403, 404}:
            with_token = "its token may not do this" if self._headers else "needs a token in GIT_TOKENS"
            raise ToolError(
                f"{host} answers {answer.status}: there is no repository {self._target.path}, or {with_token}.",
                code="not_found" if answer.status == 404 else "not_allowed",
            )
        if answer.status != 200:
            raise ToolError(f"{host} answers {answer.status} to git.", code="failed")
