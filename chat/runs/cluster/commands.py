"""What one process asks another to do with a run that is the other's. Sync functions on the database."""

from collections.abc import Collection
from uuid import UUID

from django.utils import timezone

from chat.models import Order, Run
from storage.statements import Select

MAX_AT_ONCE = 200

_any = Select(Order, "id", where="process")


def cancel(run_id: UUID) -> str:
    """Asks the process that owns the run to cancel it. Returns its name; nothing where nobody owns it (any more)."""
    owner = Run.objects.filter(id=run_id, status=Run.Status.RUNNING).values_list("process", flat=True).first()
    if owner is None:
        return ""
    Order.objects.create(process=owner, run_id=run_id, kind=Order.Kind.CANCEL, created=timezone.now())
    return owner


def requested(process: str) -> list[tuple[int, UUID]]:
    """What that process is to cancel: each order's id, and its run's."""
    if not _any(process, 1):
        return []
    return list(Order.objects.filter(process=process).order_by("id").values_list("id", "run_id")[:MAX_AT_ONCE])


def clear(ids: Collection[int]) -> None:
    """Strikes orders off."""
    Order.objects.filter(id__in=ids).delete()
