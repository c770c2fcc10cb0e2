"""Recovery of a commit whose reply was lost with the connection."""

from collections.abc import Sequence
from uuid import UUID

from chat.models import RunEvent
from chat.runs.log.frame_store import Frames


def committed_runs(frames: Sequence[Frames]) -> frozenset[UUID]:
    """Return the runs whose frames are in the database. If there are any, the batch was committed."""
    # A transaction is committed as a whole or not at all, and no other batch has frames with these numbers.
    runs, firsts = {each.run_id for each in frames}, {each.first for each in frames}
    rows = RunEvent.objects.filter(run_id__in=runs, first__in=firsts).values_list("run_id", "first", "last")
    found = set(rows)
    return frozenset(each.run_id for each in frames if (each.run_id, each.first, each.last) in found)
