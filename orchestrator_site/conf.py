"""The settings of the server, read in one place."""

from pathlib import Path

import msgspec
from django.conf import settings


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the connections of one process: times in seconds, sizes in bytes."""

    connections: int
    head_seconds: float
    body_seconds: float
    idle_seconds: float
    unread_seconds: float


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The names under which clients see the service, and the file that its settings come from."""

    hosts: tuple[str, ...]
    public_url: str
    root_path: str
    env_file: Path


def connection_limits() -> ConnectionLimits:
    return ConnectionLimits(
        connections=settings.MAX_CONNECTIONS,
        head_seconds=settings.REQUEST_HEAD_SECONDS,
        body_seconds=settings.REQUEST_BODY_SECONDS,
        idle_seconds=settings.KEEP_ALIVE_SECONDS,
        unread_seconds=settings.SLOW_READER_SECONDS,
    )


def max_body_bytes() -> int:
    return int(settings.MAX_BODY_BYTES)


def site() -> Site:
    return Site(
        hosts=tuple(settings.ALLOWED_HOSTS),
        public_url=settings.PUBLIC_URL,
        root_path=settings.ROOT_PATH,
        env_file=settings.ENV_PATH,
    )


def max_audio_bytes() -> int:
    return int(settings.SPEECH_MAX_AUDIO_BYTES)


def root_path() -> str:
    """Return the path below which clients see the service, such as `/agent`, or an empty text."""
    return str(settings.ROOT_PATH)


def max_unfinished_bytes() -> int:
    """Return the bytes of all bodies together that are not complete."""
    return int(settings.MAX_UNFINISHED_BYTES)
