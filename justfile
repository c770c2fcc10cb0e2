# Tasks of development: `just` lists them. `.ci/run` is what a change must pass, and needs no `just`.

# The first command of the README puts uv there.
export PATH := env_var("PATH") + ":" + justfile_directory() + "/.uv/bin"
set shell := ["bash", "-euo", "pipefail", "-c"]

# List the tasks.
default:
    @just --list

# Install everything that development needs, and the commit hooks.
setup:
    uv sync --group dev
    if git rev-parse --git-dir >/dev/null 2>&1 && command -v pre-commit >/dev/null; then pre-commit install; fi

# Serve on 127.0.0.1:8010, with the local model unless a provider is configured.
serve *arguments:
    uv run --extra local python manage.py serve {{ arguments }}

# Run tests: all of them, or those that are named.
test *arguments:
    uv run pytest -q {{ arguments }}

# Format the code and fix what can be fixed.
format:
    uv run ruff format .
    uv run ruff check --fix .

# Check formats, lints, import contracts and types.
lint:
    uv run ruff format --check .
    uv run ruff check .
    uv run lint-imports --no-logo
    uv run mypy

# Make migrations after a change of models.
migrations:
    uv run python manage.py makemigrations

# Run everything that a change must pass.
ci:
    .ci/run

# Build the container image.
image tag="orchestrator-service:dev":
    docker build --tag {{ tag }} .

# Build the image in an empty Debian root, without a container engine, and test the service in it (root, minutes).
test-image:
    IMAGE=build uv run pytest -q tests/deploy/test_image.py
