"""uvicorn's WebSocket protocol with short messages until the application has identified the caller (RFC 6455)."""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_ANONYMOUS_BYTES: Final = 4_096
"""Bytes of a message before the caller is identified. The message that shows a key is shorter."""

MAX_HELD_BYTES: Final = 65_536
"""Bytes that wait unparsed, before no more are read."""

MASK_BYTES: Final = 4


class SocketProtocol(WebSocketsSansIOProtocol):
    """One socket. The application calls `scope["state"]["allow_long_messages"]` once it knows the caller.

    Until then one frame is parsed whenever the application asks for a message, so that a long message right behind
    the key is not refused.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.app_state = {**self.app_state, "allow_long_messages": self._allow_long_messages}
        self.conn.max_message_size = MAX_ANONYMOUS_BYTES
        self._held = b""
        self._is_known = self._is_asked = False

    def data_received(self, data: bytes) -> None:
        if self._is_known or not self.handshake_initiated:
            super().data_received(data)
            return
        self._held += data
        self._parse()
        if len(self._held) > MAX_HELD_BYTES and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    async def receive(self) -> Any:
        self._is_asked = True
        self._parse()
        try:
            return await super().receive()
        finally:
            self._is_asked = False

    def _parse(self) -> None:
        while self._held and (self._is_known or (self._is_asked and self.queue.empty())) and not self.disconnected:
            size = len(self._held) if self._is_known else _first_frame(self._held)
            if not size:
                break
            data, self._held = self._held[:size], self._held[size:]
            super().data_received(data)
        if self.read_paused and self._is_asked and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()

    def _allow_long_messages(self) -> None:
        self._is_known = True
        self.conn.max_message_size = self.config.ws_max_size
        self._parse()


def _first_frame(data: bytes) -> int:
    """Return the size of the first frame with its header (RFC 6455, section 5.2), or 0 if it is not complete.

    A frame that is too long is complete with its header, because the parser refuses it then.
    """
    if len(data) < 2:
        return 0
    length, more = data[1] & 0x7F, {126: 2, 127: 8}.get(data[1] & 0x7F, 0)
    header = 2 + more + (MASK_BYTES if data[1] & 0x80 else 0)
    if len(data) < header:
        return 0
    if more:
        length = int.from_bytes(data[2 : 2 + more], "big")
    if length > MAX_ANONYMOUS_BYTES:
        return header
    return header + length if len(data) >= header + length else 0
