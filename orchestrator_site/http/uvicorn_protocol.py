"""uvicorn's HTTP/1.1 protocol with a limit for endless heads, and errors in the shape of the API's."""

from asyncio import Transport
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestrator_site.http.error_responses import raw_response
from orchestrator_site.http.request_limits import MAX_HEAD_BYTES, MAX_URL_BYTES, check_size, too_large
from web.errors import ApiError

# Bytes in a row that complete neither a head nor a part of a body. The parser keeps them in memory.
MAX_UNREAD: Final = 2 * (MAX_URL_BYTES + MAX_HEAD_BYTES)


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._unread = 0

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_UNREAD and not self.transport.is_closing():
            self._refuse(too_large())

    def on_headers_complete(self) -> None:
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Reject oversized heads."""
        # The WebSocket protocol, which reads the head again, would not answer them.
        try:
            check_size(len(self.url), self.headers)
        except ApiError as refusal:
            self._refuse(refusal)
        else:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(ApiError(400, "bad_request", msg))

    def _refuse(self, refusal: ApiError) -> None:
        self.transport.write(raw_response(refusal))
        self.transport.close()
