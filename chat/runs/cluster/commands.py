"""Commands from one process to another about a run that the other owns. Sync functions on the database."""

from collections.abc import Collection
from uuid import UUID

from django.utils import timezone

from chat.models import Order, Run
from storage.statements import Select

MAX_AT_ONCE = 200

_any = Select(Order, "id", where="process")


def cancel(run_id: UUID) -> str:
    """Request the process that owns the run to cancel it. Return its name, or an empty string if the run is over."""
    owner = Run.objects.filter(id=run_id, status=Run.Status.RUNNING).values_list("process", flat=True).first()
    if owner is None:
        return ""
    Order.objects.create(process=owner, run_id=run_id, kind=Order.Kind.CANCEL, created=timezone.now())
    return owner


def requested(process: str) -> list[tuple[int, UUID]]:
    """Return the ids of the process's commands, each with the id of the run to cancel."""
    # Every process runs this four times a second, almost always without a result: the prepared query is cheaper.
    if not _any(process, 1):
        return []
    return list(Order.objects.filter(process=process).order_by("id").values_list("id", "run_id")[:MAX_AT_ONCE])


def clear(ids: Collection[int]) -> None:
    """Delete commands that were carried out."""
    Order.objects.filter(id__in=ids).delete()
