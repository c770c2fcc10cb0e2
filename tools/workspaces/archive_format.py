"""Archives in the format tar, compressed with gzip: only folders and regular files, in bounded memory.

Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar, "Basic Tar Format".
"""

import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

BLOCK: Final = 512
READ_BYTES: Final = 256 * 1_024
MAX_HEADER_BYTES: Final = 64 * 1_024
"""Bytes of an extended header, which holds a long name."""

MAX_NAME_BYTES: Final = 4_096
GZIP: Final = b"\x1f\x8b"
WITH_GZIP_HEADER: Final = 31
REGULAR: Final = (b"0", b"\0", b"7")
FOLDER: Final = b"5"
EXTENDED: Final = b"x"
GLOBAL: Final = b"g"
LONG_NAME: Final = b"L"
SPARSE: Final = b"S"
CUT: Final = "The archive is cut off."
OCTAL: Final = re.compile(rb"[0-7]{1,12}")
KINDS: Final = {
    b"1": "a hard link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    SPARSE: "a sparse file",
    b"K": "a link with a long name",
}


class BadArchive(Exception):
    """The archive cannot be taken; the message gives the reason."""


class TooLarge(BadArchive):
    """The archive unpacks to more than is allowed."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A regular file of an archive, and its content; without the content if only the heads are read."""

    name: str
    size: int
    executable: bool
    data: bytes = b""


class _Unpacked:
    """The unpacked bytes of an archive, of which at most `max_bytes` are read."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        self._packed = memoryview(data)
        self._max = max_bytes
        self._total = 0
        self._buffer = b""
        self._at = 0
        self._unpacking = zlib.decompressobj(WITH_GZIP_HEADER) if data[:2] == GZIP else None

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes; fewer only at the end."""
        parts: list[bytes] = []
        missing = size
        while missing:
            if self._at == len(self._buffer) and not self._fill():
                break
            part = self._buffer[self._at : self._at + missing]
            self._at += len(part)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Read over so many bytes. Raises `BadArchive` if there are fewer."""
        while size:
            part = self.read(min(size, READ_BYTES))
            if not part:
                raise BadArchive(CUT)
            size -= len(part)

    def _fill(self) -> bool:
        """Unpack the next block. Return False at the end."""
        self._buffer, self._at = b"", 0
        if self._unpacking is None:
            self._buffer, self._packed = bytes(self._packed[:READ_BYTES]), self._packed[READ_BYTES:]
        else:
            if self._unpacking.eof or not (self._packed or self._unpacking.unconsumed_tail):
                if not self._unpacking.eof:
                    raise BadArchive(CUT)
                return False
            packed = self._unpacking.unconsumed_tail or bytes(self._packed[:READ_BYTES])
            if not self._unpacking.unconsumed_tail:
                self._packed = self._packed[READ_BYTES:]
            try:
                self._buffer = self._unpacking.decompress(packed, READ_BYTES)
            except zlib.error as error:
                raise BadArchive(f"The archive is not valid gzip: {error}.") from None
            if not self._buffer:
                return self._fill()
        self._total += len(self._buffer)
        if self._total > self._max:
            raise TooLarge(f"The archive unpacks to more than {self._max} bytes.")
        return bool(self._buffer)


def members(data: bytes, *, max_bytes: int, max_entries: int, with_data: bool) -> Iterator[Member]:
    """Yield the regular files of an archive. Raises `BadArchive`."""
    unpacked = _Unpacked(data, max_bytes)
    for name, size, kind, mode in _entries(unpacked, max_entries):
        if kind == FOLDER or (kind in REGULAR and name.endswith("/")):
            continue
        if kind not in REGULAR:
            raise BadArchive(f"{name[:200]!r} is {KINDS.get(kind, 'an unknown kind of entry')}: only files are taken.")
        content = unpacked.read(size) if with_data else b""
        if not with_data:
            unpacked.skip(size)
        elif len(content) < size:
            raise BadArchive(CUT)
        unpacked.skip(-size % BLOCK)
        yield Member(name=name, size=size, executable=bool(mode & 0o100), data=content)


def _entries(unpacked: _Unpacked, max_entries: int) -> Iterator[tuple[str, int, bytes, int]]:
    """Yield the name, size, kind and mode of each entry. The content of a file must be read before the next."""
    extended: dict[str, str] = {}
    entries = 0
    while head := _head(unpacked):
        entries += 1
        if entries > max_entries:
            raise TooLarge(f"The archive has more than {max_entries} entries.")
        size, kind = _checked(head)
        if kind in {EXTENDED, GLOBAL, LONG_NAME}:
            if size > MAX_HEADER_BYTES:
                raise BadArchive(f"An extended header has more than {MAX_HEADER_BYTES} bytes.")
            content = unpacked.read(size)
            unpacked.skip(-size % BLOCK)
            if kind == LONG_NAME:
                extended = {"path": _text(content.rstrip(b"\0"))}
            elif kind == EXTENDED:
                extended = _records(content)
            continue
        if any(name.startswith("GNU.sparse.") for name in extended):
            kind = SPARSE
        size = _decimal(extended["size"]) if "size" in extended else size
        yield extended.get("path") or _name(head), size, kind, _octal(head[100:108])
        extended = {}
    # gzip's checksum is at the end.
    while unpacked.read(READ_BYTES):
        pass
    if not entries:
        raise BadArchive("The archive is empty, or is not a tar archive.")


def _head(unpacked: _Unpacked) -> bytes:
    """Return the header of the next entry; nothing at the end of the archive."""
    head = unpacked.read(BLOCK)
    if not head.strip(b"\0"):
        return b""
    if len(head) < BLOCK:
        raise BadArchive(CUT)
    return head


def header(name: str, size: int, modified: float, *, executable: bool) -> bytes:
    """Return the header of a regular file."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, int(modified), 0o755 if executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _checked(head: bytes) -> tuple[int, bytes]:
    """Return the size and the kind of an entry. Raises `BadArchive` if it is not a header."""
    total = sum(head[:148]) + 8 * ord(" ") + sum(head[156:])
    if total != _octal(head[148:156]):
        raise BadArchive("The archive is not a tar archive, or is damaged: the checksum of a header is wrong.")
    return _octal(head[124:136]), head[156:157]


def _name(head: bytes) -> str:
    name, prefix = head[:100].split(b"\0")[0], b""
    if head[257:263] == b"ustar\0":
        prefix = head[345:500].split(b"\0")[0]
    return _text(prefix + b"/" + name if prefix else name)


def _text(name: bytes) -> str:
    if len(name) > MAX_NAME_BYTES:
        raise BadArchive(f"A name has more than {MAX_NAME_BYTES} bytes.")
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise BadArchive(f"The name {name[:100]!r} is not UTF-8.") from None


def _octal(field: bytes) -> int:
    """Return a number. Raises `BadArchive` for GNU's binary form too: no file is that large."""
    digits = field.split(b"\0")[0].strip() or b"0"
    # `int` would also take signs and underscores.
    if not OCTAL.fullmatch(digits):
        raise BadArchive("A header of the archive is damaged.")
    return int(digits, 8)


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadArchive("The size of an entry is not a number.")
    return int(text)


def _records(content: bytes) -> dict[str, str]:
    """Return the records of an extended header: each is its length, a space, `name=value` and a line feed."""
    found: dict[str, str] = {}
    at = 0
    while at < len(content) and content[at : at + 1] != b"\0":
        length, space, _ = content[at : at + 20].partition(b" ")
        if not space or not length.isdigit():
            raise BadArchive("An extended header of the archive is damaged.")
        end = at + int(length)
        name, equals, value = content[at + len(length) + 1 : end - 1].partition(b"=")
        if not equals or end > len(content) or end <= at:
            raise BadArchive("An extended header of the archive is damaged.")
        if name in {b"path", b"size"} or name.startswith(b"GNU.sparse."):
            found[_text(name)] = _text(value)
        at = end
    return found
