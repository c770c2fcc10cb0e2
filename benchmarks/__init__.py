"""The source of the figures in docs/benchmarks.md: `uv run --group bench python -m benchmarks --help`."""
