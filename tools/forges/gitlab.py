"""Merge requests of GitLab. Source: docs.gitlab.com, "Merge requests API"."""

from urllib.parse import quote, urlencode

import msgspec

from tools.forges.allowed import Target
from tools.forges.connection import Connection
from tools.forges.forge import NewPullRequest, PullRequest, check_answer, read_pull_request


class GitLab:
    """The merge requests of one project on GitLab."""

    def __init__(self, connection: Connection, target: Target, token: str) -> None:
        self._connection = connection
        self._host = target.remote.host
        self._url = f"{target.remote.api}/projects/{quote(target.path, safe='')}/merge_requests"
        self._headers = {"Accept": "application/json", "Private-Token": token}

    async def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open merge request of two branches of the project."""
        query = urlencode({"state": "opened", "source_branch": head, "target_branch": base})
        answer = await self._connection.request("GET", f"{self._url}?{query}", headers=self._headers)
        found = check_answer(answer, self._host, "merge requests")
        for item in found if isinstance(found, list) else ():
            if not isinstance(item, dict):
                continue
            # That of a fork, with a branch of the same name, is another one.
            is_own = item.get("source_project_id") == item.get("target_project_id")
            if is_own and (item.get("source_branch"), item.get("target_branch")) == (head, base):
                return read_pull_request(item, "iid", "web_url")
        return None

    async def create(self, new: NewPullRequest) -> PullRequest | None:
        """Create a merge request. None if there is one for these branches already."""
        fields = {
            "title": f"Draft: {new.title}" if new.draft else new.title,
            "description": new.body,
            "source_branch": new.head,
            "target_branch": new.base,
            "labels": ",".join(new.labels),
        }
        headers = {**self._headers, "Content-Type": "application/json"}
        answer = await self._connection.request("POST", self._url, headers=headers, body=msgspec.json.encode(fields))
        if answer.status == 409:
            return None
        return read_pull_request(check_answer(answer, self._host, "a new merge request"), "iid", "web_url")
