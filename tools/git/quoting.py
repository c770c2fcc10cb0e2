"""Quoting of names in the headers of a diff, with `core.quotePath` off. Source: git-config(1), core.quotePath."""

LETTERS = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}
FIRST_PLAIN, DELETE = 0x20, 0x7F
ESCAPES = {
    **{byte: b"\\%03o" % byte for byte in (*range(FIRST_PLAIN), DELETE)},
    **{byte: b"\\" + letter for byte, letter in LETTERS.items()},
}


def quoted(prefix: bytes, name: bytes) -> bytes:
    """Return prefix and name; in quotes if there is a control character, a quote or a backslash."""
    whole = prefix + name
    if ESCAPES.keys().isdisjoint(whole):
        return whole
    return b'"' + b"".join(ESCAPES.get(byte) or bytes((byte,)) for byte in whole) + b'"'
