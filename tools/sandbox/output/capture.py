"""The head and the tail of a stream of any length, and its size."""

import msgspec


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """The head and the tail of a stream of `size` bytes. They are the whole stream unless it is `truncated`."""

    head: bytes
    tail: bytes
    size: int

    @property
    def truncated(self) -> bool:
        """True if bytes between head and tail were dropped."""
        return self.size > len(self.head) + len(self.tail)


class Capture:
    """Stores at most `head_bytes` of a stream's start and `tail_bytes` of its end."""

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def take(self, piece: bytes) -> None:
        """Take the next piece."""
        self._size += len(piece)
        room = self._head_bytes - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        del self._tail[: max(0, len(self._tail) - self._tail_bytes)]

    def captured(self) -> Captured:
        """Return the output stored so far."""
        return Captured(head=bytes(self._head), tail=bytes(self._tail), size=self._size)
