"""How git writes a name into a diff's header, with `core.quotePath` off. Source: git-config(1), core.quotePath."""

LETTERS = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}
FIRST_PLAIN, DELETE = 0x20, 0x7F


def quoted(prefix: bytes, name: bytes) -> bytes:
    """The prefix and the name: in quotes where one of them has a control character, a quote or a backslash."""
    whole = prefix + name
    if not any(map(_is_special, whole)):
        return whole
    return b'"' + b"".join(map(_escaped, whole)) + b'"'


def _is_special(byte: int) -> bool:
    return byte < FIRST_PLAIN or byte == DELETE or byte in LETTERS


def _escaped(byte: int) -> bytes:
    if byte in LETTERS:
        return b"\\" + LETTERS[byte]
    return b"\\%03o" % byte if _is_special(byte) else bytes((byte,))
