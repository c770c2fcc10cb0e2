"""The measures, one module for each subject of the report."""

from typing import Final

from benchmarks.measures.console import Console, ConsoleOnPostgres
from benchmarks.measures.history import History
from benchmarks.measures.keys import Keys
from benchmarks.measures.measure import Figure, Goal, Measure, Round, Unmeasurable
from benchmarks.measures.projections import Projections
from benchmarks.measures.scale import Scale
from benchmarks.measures.storing import Storing, StoringOnPostgres
from benchmarks.measures.storm import Storm
from benchmarks.measures.streams import OpenStreams
from benchmarks.measures.tokens import Burst, Paced
from benchmarks.measures.tools import Audit, Tools
from benchmarks.measures.turns import Turn

MEASURES: Final[tuple[type[Measure], ...]] = (
    Burst,
    Paced,
    Projections,
    Turn,
    OpenStreams,
    Storm,
    History,
    Storing,
    StoringOnPostgres,
    Tools,
    Audit,
    Keys,
    Scale,
    Console,
    ConsoleOnPostgres,
)

__all__ = ["MEASURES", "Figure", "Goal", "Measure", "Round", "Unmeasurable"]
