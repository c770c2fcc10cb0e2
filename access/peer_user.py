"""The user of this machine at the other end of a loopback connection, as the kernel knows it.

Source: sock_diag(7). Only Linux has it.
"""

import atexit
import ipaddress
import os
import socket
import struct
import sys
import threading
from typing import Final

from access.network.host_check import Address

# From linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLM_F_REQUEST: Final = 1
HEADER: Final = struct.Struct("=IHHII")
REQUEST: Final = struct.Struct("=BBBxI2s2s16s16sI8s")
# The user's number, behind four bytes of state, the addresses, and three counters.
UID_OFFSET: Final = 4 + 48 + 12
ALL_STATES: Final = 0xFFFFFFFF
NO_COOKIE: Final = b"\xff" * 8
ANSWER_SECONDS: Final = 1.0


def is_own_user(peer: Address, own: Address) -> bool:
    """Return whether the socket at `peer`, which is connected to `own`, belongs to this process's user.

    On other systems than Linux this is unknown, and true.
    """
    return sys.platform != "linux" or peer_uid(peer, own) == os.geteuid()


class _Kernel:
    """The socket on which the kernel is asked. It stays open, so that a lack of file descriptors changes nothing."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._number = 0
        self._lock = threading.Lock()

    def ask(self, body: bytes) -> bytes:
        """Return the answer to a request, behind its header, or nothing if there is no such connection.

        Raises `OSError`.
        """
        with self._lock:
            try:
                return self._ask(body)
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, body: bytes) -> bytes:
        if self._socket is None:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
            self._socket.settimeout(ANSWER_SECONDS)
        self._number = (self._number + 1) & 0xFFFFFFFF
        head = HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, self._number, 0)
        self._socket.send(head + body)
        while True:
            answer = self._socket.recv(4_096)
            _, kind, _, number, _ = HEADER.unpack_from(answer)
            # An earlier request may have been given up before its answer.
            if number == self._number:
                return answer[HEADER.size :] if kind == SOCK_DIAG_BY_FAMILY else b""


_kernel = _Kernel()
atexit.register(_kernel.close)


def peer_uid(peer: Address, own: Address) -> int | None:
    """Return the number of the user whose socket has the address `peer` and is connected to `own`; None if unknown."""
    try:
        source, target = _plain(peer[0]), _plain(own[0])
        if source.version != target.version:
            return None
        answer = _kernel.ask(
            REQUEST.pack(
                socket.AF_INET if source.version == 4 else socket.AF_INET6,
                socket.IPPROTO_TCP,
                0,
                ALL_STATES,
                peer[1].to_bytes(2, "big"),
                own[1].to_bytes(2, "big"),
                source.packed.ljust(16, b"\0"),
                target.packed.ljust(16, b"\0"),
                0,
                NO_COOKIE,
            )
        )
    except (OSError, ValueError, OverflowError):
        return None
    return int.from_bytes(answer[UID_OFFSET : UID_OFFSET + 4], sys.byteorder) if len(answer) >= UID_OFFSET + 4 else None


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address. A socket for both versions of IP shows an IPv4 peer as ::ffff:127.0.0.1."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
