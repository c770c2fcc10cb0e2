"""The text of HTML, as Markdown. Its parser runs only in a worker."""

from typing import Final

from retrieval.base import DocumentError
from retrieval.limits import MAX_EXTRACTED_CHARS
from retrieval.worker.protocol import Converted

# Parts that a reader of the page does not see, beside those that the library leaves out itself: scripts, styles,
# comments, and elements with `hidden`, `display: none` or `visibility: hidden`.
INVISIBLE: Final = (
    '[aria-hidden="true"]',
    "canvas",
    "dialog:not([open])",
    "iframe",
    "input",
    "noscript",
    "object",
    "svg",
    "template",
    "textarea",
)
END_OF_METADATA: Final = "\n---\n"


def html_page(html: str, url: str) -> Converted:
    """Return the title of a page and its text, with absolute links. Raises `DocumentError`."""
    # Loading the library takes a moment, which workers of other tasks need not wait for.
    from html_to_markdown import ConversionOptions, PreprocessingOptions, convert  # noqa: PLC0415

    result = convert(
        html,
        ConversionOptions(
            base_url=url,
            exclude_selectors=list(INVISIBLE),
            inline_data_media="drop_element",
            infer_dimensions=False,
            preprocessing=PreprocessingOptions(remove_navigation=False, remove_forms=False),
        ),
    )
    text = result.content or ""
    # Metadata are extracted into the text too, between two lines.
    if text.startswith(END_OF_METADATA.lstrip()):
        text = text.partition(END_OF_METADATA)[2]
    if result.warnings and not text.strip():
        raise DocumentError("It is nested too deeply, or too complex.")
    title = result.metadata.document.title if result.metadata and result.metadata.document else None
    return Converted(title=title or "", text=text.strip()[:MAX_EXTRACTED_CHARS])
