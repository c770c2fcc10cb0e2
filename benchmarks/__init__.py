"""What the README's figures come from: `uv run --group bench python -m benchmarks --help`."""
