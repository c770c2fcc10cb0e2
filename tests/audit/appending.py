"""A process that records executions until it is killed: `python -c "...appending.main()"`."""

from tests.audit.history import run_tool


def main() -> None:
    while True:
        run_tool()
        print("recorded", flush=True)  # noqa: T201 - for the test that waits
