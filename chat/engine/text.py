"""Text that can be stored and sent: without NUL and without halves of surrogate pairs."""


def whole_text(text: str) -> str:
    """Return the text with surrogate pairs joined, and U+FFFD for NUL and for each lone half.

    PostgreSQL's text rejects NUL, and UTF-8 cannot encode half of a surrogate pair.
    """
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
