"""The content of an answer: its type, its compression and its characters."""

import codecs
import re
import zlib
from email.message import Message
from typing import Final, Literal

import msgspec

from tools.base import ToolError

Form = Literal["html", "text", "pdf"]

HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
TEXT: Final = frozenset(
    {"application/json", "application/xml", "application/javascript", "application/yaml", "application/x-yaml"}
)
PDF: Final = "application/pdf"
VALID: Final = "Web pages, text, JSON, XML and PDF files are."
HEAD_BYTES: Final = 1_024
MAX_LABEL: Final = 40
BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
META: Final = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
# Python knows more than characters, such as `idna` and `unicode_escape`, some of them in quadratic time.
CHARSETS: Final = re.compile(
    r"utf-8|utf-16(-[bl]e)?|ascii|iso8859-\d+|cp(12\d\d|8\d\d|437|9(32|36|49|50))|koi8-[ru]|mac-\w+|"
    r"gb2312|gbk|gb18030|hz|big5(hkscs)?|shift_jis|euc_(jp|kr)|iso2022_(jp|kr)|tis-620|johab"
)
NAMES: Final = {"iso8859-1": "cp1252", "ascii": "cp1252", "utf-16": "utf-16-le"}
"""Names that stand for another encoding on the web (WHATWG Encoding)."""


class ContentType(msgspec.Struct, frozen=True, kw_only=True):
    """A media type that can be read, in lower case, and the charset that the header names, or an empty text."""

    name: str
    form: Form
    charset: str


def content_type(header: str) -> ContentType:
    """Return the type of a content. Raises `ToolError` (`failed`) if it cannot be read."""
    message = Message()
    message["Content-Type"] = header
    # Without a valid header, this is text/plain.
    name, charset = message.get_content_type(), message.get_param("charset", "")
    form: Form
    if name in HTML:
        form = "html"
    elif name.startswith("text/") or name in TEXT or name.endswith(("+json", "+xml")):
        form = "text"
    elif name == PDF:
        form = "pdf"
    else:
        raise ToolError(f"Contents of the type {name[:80]!r} are not read. {VALID}", code="failed")
    return ContentType(name=name, form=form, charset=charset if isinstance(charset, str) else "")


class Body:
    """The bytes of an answer, decompressed up to a limit. No step decompresses beyond the limit."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        """Raise `ToolError` (`failed`) for an encoding that was not asked for."""
        self.data = bytearray()
        self._max_bytes = max_bytes
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise ToolError("The answer is compressed in a way that was not asked for.", code="failed")
        # 32 added: the header says whether it is gzip or zlib (zlib.h, inflateInit2).
        self._inflater = zlib.decompressobj(32 + zlib.MAX_WBITS) if name not in {"", "identity"} else None
        self._is_raw = name == "deflate"

    @property
    def is_full(self) -> bool:
        """True if there may be more than the limit."""
        return len(self.data) >= self._max_bytes

    def add(self, block: bytes) -> None:
        """Add the next bytes as they were received. Raises `ToolError` (`failed`) if they are damaged."""
        left = self._max_bytes - len(self.data)
        if left <= 0 or not block:
            return
        if self._inflater is None:
            self.data += block[:left]
            return
        try:
            self.data += self._inflater.decompress(block, left)
        except zlib.error:
            if not self._is_raw or self.data:
                raise ToolError("The answer is damaged: it cannot be decompressed.", code="failed") from None
            # Some servers send deflate without the header of zlib.
            self._inflater, self._is_raw = zlib.decompressobj(-zlib.MAX_WBITS), False
            self.add(block)


def decoded(data: bytes, charset: str, *, is_html: bool) -> str:
    """Return the text of a content, by its byte order mark, its header, its `meta` element, or as UTF-8.

    Invalid bytes become U+FFFD. Raises `ToolError` (`failed`) if it is not text.
    """
    meta = META.search(data[:HEAD_BYTES]) if is_html else None
    named = _known(charset) or (_known(meta[1].decode()) if meta else "")
    # A page whose `meta` element can be read as ASCII is not UTF-16 (WHATWG HTML, 13.2.3.2).
    if meta and not _known(charset) and named.startswith("utf-16"):
        named = ""
    marked = next((encoding for mark, encoding in BOMS if data.startswith(mark)), "")
    encoding = marked or named or "utf-8"
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    if "\0" in text[:HEAD_BYTES]:
        raise ToolError("The content is not text, although its type says so.", code="failed")
    return text.replace("\0", "\ufffd")


def _known(label: str) -> str:
    """Return the encoding for a label; an empty text if it is none of the web's."""
    try:
        name = codecs.lookup(label.strip()).name if 0 < len(label) <= MAX_LABEL else ""
    except (LookupError, ValueError):
        return ""
    return NAMES.get(name, name) if CHARSETS.fullmatch(name) else ""
