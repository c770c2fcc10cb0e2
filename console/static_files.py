"""The URLs of static files."""

from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix


class StaticFiles(StaticFilesStorage):
    """The static files of all apps, below the root path of the current request."""

    def url(self, name: str | None) -> str:
        # Django would keep the root path of the first request for all others.
        return get_script_prefix().rstrip("/") + super().url(name)
