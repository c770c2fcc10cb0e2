"""Subscribers of a run in other processes, tracked through `followed_until` on the run."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from chat.models import Run
from storage.reader import read


def mark(run_ids: Collection[UUID], seconds: float) -> None:
    """Mark these runs as followed for at least `seconds`. Sync, on the database."""
    # The database's clock is the only one that all processes share.
    running = Run.objects.filter(id__in=run_ids, status=Run.Status.RUNNING)
    running.update(followed_until=Now() + timedelta(seconds=seconds))


async def is_followed(run_id: UUID) -> bool:
    """Return whether another process follows the run. Raise `StorageUnavailable`."""
    return await read(Run.objects.filter(id=run_id, followed_until__gt=Now()).exists)
