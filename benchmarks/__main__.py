"""Measures the cost of the service beside nginx and plain FastAPI and Django services, on this machine.

One worker has one core; the fake upstream, the client and PostgreSQL have another. The contestants take turns in each
round, every stream is checked to its last byte, and the figures are medians of the rounds. Everything is on loopback
and in temporary folders. All measures take about half an hour, with --quick about six minutes. Leave the
machine idle meanwhile.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.harness import machine
from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import CONTESTANTS
from benchmarks.harness.load import StreamBroken
from benchmarks.harness.machine import Cores
from benchmarks.harness.process import NotStarted
from benchmarks.measures import MEASURES, Measure, Round, Unmeasurable
from benchmarks.report import Measured, Report

NAMES: Final = tuple(measure.name for measure in MEASURES)


def main() -> int:
    options = _options()
    # The default action of SIGTERM would skip the `finally` blocks that end the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    cores = Cores.chosen()
    report = Report(machine.described(), [cores.note, *(one.missing for one in CONTESTANTS if one.missing)])
    measures = [measure(quick=options.quick) for measure in MEASURES if measure.name in (options.only or NAMES)]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, machine.pinned(cores.others):
        try:
            is_whole = uvloop.run(_measure(report, measures, Arena(Path(folder), cores, show_logs=options.show_logs)))
        except (NotStarted, KeyboardInterrupt) as error:
            print(f"Stopped, and nothing is reported: {error or type(error).__name__}", file=sys.stderr)
            return 1
    print(report.markdown())
    if options.json:
        options.json.write_text(report.as_json())
    return 0 if is_whole else 1


def _options() -> argparse.Namespace:
    about = "\n".join(f"  {measure.name:<17} {measure.__doc__}" for measure in MEASURES)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"measures:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help="measure this; may repeat")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures to this file too")
    parser.add_argument("--show-logs", action="store_true", help="let the servers' logs through, to standard error")
    return parser.parse_args()


async def _measure(report: Report, measures: Sequence[Measure], arena: Arena) -> bool:
    """Return whether all measures succeeded. A failure is in the report, beside the rounds before it."""
    is_whole = True
    async with arena:
        for measure in measures:
            rounds: list[Round] = []
            try:
                # Each round is added when it is over, so a failure leaves the earlier ones in the report.
                count = measure.rounds[measure.quick]
                for number in range(count):
                    print(f"{measure.name}: round {number + 1} of {count}", file=sys.stderr)
                    rounds.append(await measure.round(arena, number))
            except Unmeasurable as error:
                report.notes.append(f"Not measured: {measure.name}. {error}")
            except (NotStarted, StreamBroken, TimeoutError) as error:
                is_whole = False
                report.notes.append(f"Broken off: {measure.name}, in round {len(rounds) + 1}. {error!r}")
            # A measure without a single round has no median to show.
            if rounds:
                report.measured.append(Measured(measure, rounds))
    return is_whole


if __name__ == "__main__":
    sys.exit(main())
