"""Who follows a run from another process than the run's own, by marks on its row in the database's time.

Sync functions on the database.
"""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from chat.models import Run


def mark(run_ids: Collection[UUID], seconds: float) -> None:
    """Somebody follows these runs, for these seconds at least."""
    running = Run.objects.filter(id__in=run_ids, status=Run.Status.RUNNING)
    running.update(followed_until=Now() + timedelta(seconds=seconds))


def is_marked(run_id: UUID) -> bool:
    """Whether somebody in another process follows the run."""
    return Run.objects.filter(id=run_id, followed_until__gt=Now()).exists()
