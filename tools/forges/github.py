"""Pull requests of GitHub, and of GitHub Enterprise Server. Source: docs.github.com, REST API, "Pulls"."""

from typing import Any
from urllib.parse import urlencode

import msgspec

from tools.forges.allowed import Target
from tools.forges.connection import Answer, Connection
from tools.forges.forge import NewPullRequest, PullRequest, check_answer, read_pull_request


class GitHub:
    """The pull requests of one repository on GitHub."""

    def __init__(self, connection: Connection, target: Target, token: str) -> None:
        self._connection = connection
        self._target = target
        self._url = f"{target.remote.api}/repos/{target.path}"
        self._headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    async def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request of two branches of the repository."""
        owner = self._target.path.partition("/")[0]
        query = urlencode({"state": "open", "head": f"{owner}:{head}", "base": base})
        found = check_answer(await self._send("GET", f"/pulls?{query}"), self._target.remote.host, "pull requests")
        # Another pull request, or one of a fork, must not pass for this one.
        for item in found if isinstance(found, list) else ():
            if _branch(item, "head") == (self._target.path.lower(), head) and _branch(item, "base")[1] == base:
                return read_pull_request(item, "number", "html_url")
        return None

    async def create(self, new: NewPullRequest) -> PullRequest | None:
        """Create a pull request. None if there is one for these branches already."""
        fields = {"title": new.title, "body": new.body, "head": new.head, "base": new.base, "draft": new.draft}
        answer = await self._send("POST", "/pulls", fields)
        if answer.status == 422 and b"already exists" in answer.body:
            return None
        data = check_answer(answer, self._target.remote.host, "a new pull request")
        made = read_pull_request(data, "number", "html_url")
        if new.labels:
            labels = {"labels": list(new.labels)}
            with_labels = await self._send("POST", f"/issues/{made.number}/labels", labels)
            # The pull request exists by now, so this is not a failure.
            if with_labels.status >= 300:
                return msgspec.structs.replace(made, note="The labels were refused.")
        return made

    async def _send(self, method: str, path: str, fields: dict[str, Any] | None = None) -> Answer:
        if fields is None:
            return await self._connection.request(method, self._url + path, headers=self._headers)
        headers = {**self._headers, "Content-Type": "application/json"}
        body = msgspec.json.encode(fields)
        return await self._connection.request(method, self._url + path, headers=headers, body=body)


def _branch(item: Any, side: str) -> tuple[str, Any]:
    """Return the repository and the name of a branch of a pull request."""
    found = item.get(side) if isinstance(item, dict) else None
    repository = found.get("repo") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(repository, dict):
        return "", None
    return str(repository.get("full_name")).lower(), found.get("ref")
