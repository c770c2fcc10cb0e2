"""What became of a commit whose answer was lost with the connection: it was made as a whole, or not at all."""

from collections.abc import Sequence
from uuid import UUID

from chat.models import RunEvent
from chat.runs.log.frame_store import Frames


def committed_runs(frames: Sequence[Frames]) -> frozenset[UUID]:
    """The runs whose frames of a batch are in the database. Where there are any, the batch was committed."""
    runs, firsts = {each.run_id for each in frames}, {each.first for each in frames}
    rows = RunEvent.objects.filter(run_id__in=runs, first__in=firsts).values_list("run_id", "first", "last")
    found = set(rows)
    return frozenset(each.run_id for each in frames if (each.run_id, each.first, each.last) in found)
