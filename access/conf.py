"""The settings of access, read in one place."""

from django.conf import settings

from access.guard import Rules


def api_key() -> str:
    """The service's own key, or nothing."""
    return str(settings.API_KEY)


def rules() -> Rules:
    return Rules(
        keyed=bool(settings.API_KEY),
        hosts=tuple(settings.ALLOWED_HOSTS),
        origins=tuple(settings.CORS_ALLOWED_ORIGINS),
    )


def max_body_bytes() -> int:
    return int(settings.MAX_BODY_BYTES)
