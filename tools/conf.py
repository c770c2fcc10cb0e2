"""The settings of the tools, read in one place."""

from pathlib import Path

from django.conf import settings

from tools.workspace import Limits


def workspace_base() -> Path:
    return Path(settings.ALLOW_FS_BASE)


def workspace_limits() -> Limits:
    return Limits(max_read_bytes=settings.FS_MAX_READ_BYTES, max_write_bytes=settings.FS_MAX_WRITE_BYTES)


def result_bytes() -> int:
    return int(settings.TOOL_RESULT_MAX_BYTES)
