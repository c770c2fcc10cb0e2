import pytest

from console.html.markdown import MAX_CHARACTERS, MAX_MARKS, MAX_PAGE_MARKS, PageTexts, rendered


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://example.com/x.png)",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](vbscript:x)",
        "[x](/admin/logout/)",
        "[x](//example.com)",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "`<b>` **<b>**",
        "```<script>\n<script>\n```",
    ],
)
def test_markup_of_a_text_has_no_effect(text: str) -> None:
    shown = rendered(text)
    for tag in (
        "<script",
        "<img",
        "<b>",
        " onmouseover=",
        'href="javascript',
        'href="data',
        'href="/',
        'href="vbscript',
    ):
        assert tag not in shown


def test_quotation_marks_of_a_title_are_escaped() -> None:
    assert 'title="a&quot; onmouseover=b"' in rendered('[x](https://example.com "a\\" onmouseover=b")')


def test_links_open_elsewhere_without_a_trace() -> None:
    shown = rendered("[x](https://example.com/a?b=1&c=2) <mailto:a@example.com>")
    assert 'href="https://example.com/a?b=1&amp;c=2" rel="noopener noreferrer nofollow" target="_blank"' in shown
    assert 'href="mailto:a@example.com"' in shown


def test_markdown_is_rendered_and_hidden_characters_are_shown() -> None:
    shown = rendered("# T\n\n**b** ~~s~~ `c`\n\n| a |\n|---|\n| 1 |\n\n\x1b[31m\u202e")
    for part in ("<h1>T</h1>", "<strong>b</strong>", "<s>s</s>", "<code>c</code>", "<td>1</td>", "\\x1b[31m\\u202e"):
        assert part in shown


@pytest.mark.parametrize("text", ["[" * (MAX_MARKS + 1), "*_" * MAX_MARKS, "*b* " + "a" * MAX_CHARACTERS])
def test_text_that_would_take_long_to_render_is_shown_as_it_was_written(text: str) -> None:
    assert rendered(text) == f'<pre class="audit-text" dir="auto">{text}</pre>'
    assert "&lt;b&gt;" in rendered(f"<b>{text}")


def test_texts_of_a_page_are_shown_as_they_were_written_after_its_limit() -> None:
    texts = PageTexts()
    for _ in range(MAX_PAGE_MARKS // MAX_MARKS):
        assert "<strong>b</strong>" in texts.rendered("**b**" + "&" * (MAX_MARKS - 4))
    assert texts.rendered("**b**") == '<pre class="audit-text" dir="auto">**b**</pre>'
    assert texts.rendered("b") == "<p>b</p>\n"
