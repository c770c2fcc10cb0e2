"""inotify: the changes of the names in folders, in the order in which they were made. Source: inotify(7)."""

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from kernel.syscalls import syscall

ADD_WATCH, REMOVE_WATCH = "inotify_add_watch", "inotify_rm_watch"
NUMBERS = {
    "x86_64": {"inotify_init1": 294, ADD_WATCH: 254, REMOVE_WATCH: 255},
    "aarch64": {"inotify_init1": 26, ADD_WATCH: 27, REMOVE_WATCH: 28},
}
NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
ATTRIB, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x4, 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED, ONLY_FOLDERS, IS_FOLDER = 0x4000, 0x8000, 0x1000000, 0x40000000
NAMES = ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | ONLY_FOLDERS
HEAD = struct.Struct("=iIII")
BLOCK_BYTES = 1 << 20


class Event(NamedTuple):
    """A change of a name in a watched folder."""

    watch: int
    mask: int
    name: str


class Watcher:
    """Watches of folders. Creating one raises `OSError` if the kernel allows no more."""

    def __init__(self) -> None:
        try:
            self._numbers = NUMBERS[os.uname().machine]
        except KeyError:
            raise OSError("The numbers of inotify's system calls are not known here.") from None
        self.handle = syscall(self._numbers["inotify_init1"], NONBLOCK_CLOEXEC)

    def add(self, folder: int) -> int:
        """Watch the folder of a handle, and return the watch: the same for the same folder. Raises `OSError`."""
        return syscall(self._numbers[ADD_WATCH], self.handle, b"/proc/self/fd/%d\0" % folder, NAMES)

    def remove(self, watch: int) -> None:
        """Remove a watch. Raises `OSError` if the folder is gone."""
        syscall(self._numbers[REMOVE_WATCH], self.handle, watch)

    def events(self) -> Iterator[Event]:
        """Yield the changes that were made until now."""
        while True:
            try:
                block = os.read(self.handle, BLOCK_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(block):
                watch, mask, _, size = HEAD.unpack_from(block, at)
                at += HEAD.size
                yield Event(watch, mask, os.fsdecode(block[at : at + size].rstrip(b"\0")))
                at += size

    def close(self) -> None:
        """End all watches."""
        os.close(self.handle)
