"""Markdown of models and callers as HTML that is safe to show: markup in it is text, and it loads nothing."""

import re
from typing import Any, Final

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from console.visible_text import visible_text

LINKED: Final = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
"""The addresses that become links. A relative one would lead to a page of the service."""

LINK: Final = {"rel": "noopener noreferrer nofollow", "target": "_blank"}

# Images of other hosts would be requests that a text makes.
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("image")
_markdown.validateLink = lambda url: LINKED.match(url) is not None  # type: ignore[method-assign]  # its documented way


def _link_open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    tokens[index].attrs.update(LINK)
    return str(self.renderToken(tokens, index, options, env))


_markdown.add_render_rule("link_open", _link_open)


def rendered(text: str) -> SafeString:
    """Return the text as HTML, with hidden characters escaped."""
    html: str = _markdown.render(visible_text(text))
    return mark_safe(html)  # noqa: S308 - the renderer escapes all markup
