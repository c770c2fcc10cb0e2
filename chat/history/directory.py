"""The directory of runs: it finds and follows a run in this process or in the database."""

from uuid import UUID

from chat.history import queries
from chat.history.run_source import RunSource
from chat.runs.cluster.remote_watch import RemoteWatch
from chat.runs.live.manager import RunManager
from chat.runs.live.subscribers import StreamTimeouts
from chat.runs.log.subscription import Subscription, SubscriptionWithoutReasoning
from storage.reader import read


class RunDirectory:
    """The runs of all processes. `stored` means that they are in the database."""

    def __init__(self, runs: RunManager, watch: RemoteWatch, timeouts: StreamTimeouts, *, stored: bool) -> None:
        self._runs = runs
        self._watch = watch
        self._timeouts = timeouts
        self._stored = stored

    async def status(self, run_id: UUID, owner: str) -> str | None:
        """Return the stored status of a run, or None if there is no such run. Raise `StorageUnavailable`."""
        run = await read(queries.run, run_id, owner) if self._stored else None
        return str(run["status"]) if run else None

    async def has(self, run_id: UUID, owner: str) -> bool:
        """Return whether the owner has such a run. Raise `StorageUnavailable`."""
        return self._runs.find(run_id, owner) is not None or await self.status(run_id, owner) is not None

    def follow(self, run_id: UUID, owner: str, cursor: int, *, hides_reasoning: bool = False) -> Subscription:
        """Subscribe to the run's frames after number `cursor`, in whichever process it runs."""
        kind = SubscriptionWithoutReasoning if hides_reasoning else Subscription
        source = RunSource(run_id, owner, self._runs.find, self._watch, is_stored=self._stored)
        return kind(source, cursor, heartbeat=self._timeouts.heartbeat, patience=self._timeouts.slow_reader)
