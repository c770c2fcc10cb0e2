"""The WebSockets of the service, by their paths."""

from collections.abc import Mapping
from typing import Any

from chat.api.sockets.console import ConsoleConsumer
from chat.api.sockets.consumer import ChatConsumer
from speech.api.sockets.consumer import SpeechConsumer


def consumers() -> Mapping[str, Any]:
    """Return the ASGI application of each path."""
    return {
        "/ws/chat": ChatConsumer.as_asgi(),
        "/ws/speech": SpeechConsumer.as_asgi(),
        "/admin/live": ConsoleConsumer.as_asgi(),
    }
