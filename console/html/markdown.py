"""Markdown of models and callers as HTML that is safe to show: markup in it is text, and it loads nothing."""

import re
from typing import Any, Final

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from console.visible_text import visible_text

LINKED: Final = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
"""The addresses that become links. A relative one would lead to a page of the service."""

LINK: Final = {"rel": "noopener noreferrer nofollow", "target": "_blank"}

MARKS: Final = "[]!*_`~<&|"
"""The characters that may begin a part of Markdown. The time of rendering grows with them."""

MAX_MARKS: Final = 5_000
"""Marks of a text, which take up to 0.2 s. A text with more of them is shown as it was written."""

MAX_PAGE_MARKS: Final = 30_000
"""Marks of all texts of a page. The texts after them are shown as they were written."""

MAX_CHARACTERS: Final = 500_000
"""Characters of a text. A longer one is shown as it was written."""

# Images of other hosts would be requests that a text makes.
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("image")
_markdown.validateLink = lambda url: LINKED.match(url) is not None  # type: ignore[method-assign]  # its documented way


def _link_open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    tokens[index].attrs.update(LINK)
    return str(self.renderToken(tokens, index, options, env))


_markdown.add_render_rule("link_open", _link_open)


def rendered(text: str) -> SafeString:
    """Return the text as HTML, with hidden characters escaped; as it was written if it would take long to render."""
    return _within(text, _marks(text), MAX_MARKS)


class PageTexts:
    """The texts of one page, which together take a limited time to render."""

    def __init__(self) -> None:
        self._left = MAX_PAGE_MARKS

    def rendered(self, text: str) -> SafeString:
        """Return a text as HTML, as the function `rendered` does."""
        marks = _marks(text)
        most = min(MAX_MARKS, self._left)
        if marks <= most:
            self._left -= marks
        return _within(text, marks, most)


def _marks(text: str) -> int:
    return sum(map(text.count, MARKS))


def _within(text: str, marks: int, most: int) -> SafeString:
    if marks > most or len(text) > MAX_CHARACTERS:
        return format_html('<pre class="audit-text" dir="auto">{}</pre>', visible_text(text))
    html: str = _markdown.render(visible_text(text))
    return mark_safe(html)  # noqa: S308 - the renderer escapes all markup
