"""The starter of runs: it writes the beginning of a run, and hands the run to the run manager."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.db import IntegrityError

from access.caller import Caller
from chat.providers.registry import ProviderRegistry
from chat.runs.live.budget import Tariff
from chat.runs.live.manager import RunManager
from chat.runs.live.run import LiveRun
from chat.runs.live.suspension import resume
from chat.runs.start.begin import interrupted, newest_model
from chat.runs.start.idempotency import UnstoredKeys
from chat.starting.candidates import candidates, candidates_again, check_length
from chat.starting.factory import NewRun, RunFactory
from chat.starting.request import RunRequest, request_of
from chat.starting.turns import TurnFactory
from storage.reader import read
from storage.writer import writer
from tools.execution.context import ToolContext


class RunStarter:
    """Starts new, interrupted and waiting runs in this process. `stored` means that they are in the database."""

    def __init__(
        self,
        providers: ProviderRegistry,
        tools: Callable[[], ToolContext],
        tariff: Tariff,
        runs: RunManager,
        *,
        stored: bool,
    ) -> None:
        self._providers = providers
        self._runs = runs
        self._stored = stored
        self._factory = RunFactory(TurnFactory(tools, tariff, stored=stored))
        self._keys = UnstoredKeys(runs.find)

    async def start(self, request: RunRequest) -> LiveRun:
        """Record a new run, and start it.

        Raise the errors of `candidates`, `check_length`, `RunFactory.new`, `RunManager.admission` and `begin`, and
        `StorageUnavailable`. After an error no run exists, but a model may have been called.
        """
        models = candidates(self._providers, request)
        await check_length(self._providers, request, models)
        with self._runs.admission():
            new = await self._factory.new(request, models, max_active_runs=self._runs.max_together)
            if not (self._stored and new.may_start) or writer.is_failing:
                return await self._begin(new)
            # The writer takes jobs in order, so everything that the run writes commits after its beginning, and the
            # caller receives nothing before that. The model call and the insert can therefore overlap.
            written = writer.submit(new.begin)
            run = self._runs.start(new.spec)
        try:
            await written
        except Exception:
            run.stop("storage")
            raise
        return run

    async def resume(self, run_id: UUID, caller: Caller) -> LiveRun:
        """Start a new run that continues an interrupted run, which itself stays as it is.

        Raise `RunNotFound`, `NotResumable`, `AlreadyBegun` if the run was resumed before, and the errors of `start`.
        """
        row = await read(interrupted, run_id, caller.owner)
        request = request_of(row, caller)
        with self._runs.admission():
            new = await self._factory.new(
                request,
                candidates_again(self._providers, request),
                max_active_runs=self._runs.max_together,
                asks_model=bool(row.provider) and not request.compacts,
                resumed_from=run_id,
            )
            return await self._begin(new)

    async def compact(self, session_id: UUID, caller: Caller) -> LiveRun:
        """Start a run that summarises the older messages of a session, by the model of its newest answer.

        If that is not available any more, the default model is used. Raise the errors of `start`.
        """
        provider, model = await read(newest_model, session_id, caller.owner)
        # The summary is of use to the next turn whether or not this caller waits for it.
        request = RunRequest(
            caller=caller,
            session_id=session_id,
            provider=provider,
            model=model,
            compacts=True,
            on_disconnect="continue",
        )
        models = candidates_again(self._providers, request) or self._providers.candidates(None, None)
        with self._runs.admission():
            return await self._begin(
                await self._factory.new(request, models, max_active_runs=self._runs.max_together, asks_model=False)
            )

    async def continue_run(self, run_id: UUID, *, cancelled: bool = False) -> LiveRun | None:
        """Continue a waiting run in this process if its approval is decided, or end it as `cancelled`.

        Return None if the run does not wait, or another process took it. Raise the errors of `RunManager.admission`,
        and `StorageUnavailable`.
        """
        with self._runs.admission():
            resumed = await writer.write(partial(resume, run_id, cancelled=cancelled))
            if resumed is None:
                return None
            request = request_of(resumed.row, resumed.caller)
            models = candidates_again(self._providers, request)
            return self._runs.start(self._factory.resumed(resumed, request, models))

    async def _begin(self, new: NewRun) -> LiveRun:
        key = new.start.key
        if self._stored:
            try:
                await writer.write(new.begin)
            except IntegrityError:
                # Another process began a run with the same idempotency key at the same time: the second try finds it.
                await writer.write(new.begin)
        elif key is not None:
            self._keys.remember(new.start.owner, key, new.start.run_id)
        return self._runs.start(new.spec)
