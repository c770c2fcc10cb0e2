"""The settings of the chain."""

from django.conf import settings


def is_kept() -> bool:
    """Return whether the chain is kept. Without persistence there is nothing that it could prove."""
    return bool(settings.ENABLE_PERSISTENCE)


def head_seconds() -> float:
    """Return the seconds between two log lines with the head of the chain; 0 for none."""
    return float(settings.AUDIT_HEAD_SECONDS)
