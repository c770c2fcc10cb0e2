"""The URL of a run, as the client sees it."""

from django.urls import get_script_prefix


def run_url(run_id: object) -> str:
    """Return the path of a run, below the root path of the current request."""
    return f"{get_script_prefix()}chat/runs/{run_id}"
