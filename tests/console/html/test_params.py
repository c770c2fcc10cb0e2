"""The params of a call as HTML: whole, in their own lines, and safe."""

import re
from html import unescape
from typing import Any

import pytest

from console import cells
from console.html.params import params

LINE = re.compile(r'<span class="audit-line([^"]*)">(.*?)\n</span>', re.DOTALL)


def lines(shown: str) -> list[tuple[str, str]]:
    """Return the kind and the text of each line."""
    return [(kind.strip(), unescape(text)) for kind, text in LINE.findall(shown)]


def headings(shown: str) -> list[str]:
    return [unescape(re.sub("<[^>]*>", "", text)) for text in re.findall("<p>(.*?)</p>", shown)]


def test_each_param_has_its_name_and_its_own_lines() -> None:
    shown = params({"path": "a.py", "content": "one\n\n\ttwo\n", "create_only": True, "limit": None})
    assert [text for _, text in lines(shown)] == ["a.py", "one", "", "\ttwo", "", "true", "null"]
    assert headings(shown) == [
        "path text, 1 line, 4 characters",
        "content text, 4 lines, 10 characters",
        "create_only JSON",
        "limit JSON",
    ]
    assert "\\n" not in shown


@pytest.mark.parametrize(
    "value",
    [["sh", "-c", "one\ntwo"], {"script": {"-c": "one\ntwo"}}, [{"new": "one\ntwo"}]],
)
def test_texts_inside_of_lists_and_objects_have_their_own_lines(value: Any) -> None:
    shown = params({"edits": value, "argv": ["a", "b"]})
    found = [text for _, text in lines(shown)]
    assert found[-6:-4] == ["one", "two"]
    assert found[-4:] == ["[", '  "a",', '  "b"', "]"]
    assert "edits[" in shown


@pytest.mark.parametrize("start", ["", "diff --git a/a b/a\n", "*** Begin Patch\n", "@@ -1 +1 @@\n"])
def test_patch_is_shown_as_a_diff(start: str) -> None:
    text = f"{start}--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n same\n-old\n+new"
    kinds = [kind for kind, _ in lines(params({"patch" if not start else "input": text}))]
    assert kinds[-6:] == [
        f"audit-{kind}" if kind else "" for kind in ("removed", "added", "place", "", "removed", "added")
    ]


def test_text_that_is_no_patch_has_no_colours() -> None:
    assert {kind for kind, _ in lines(params({"content": "- one\n+ two\n@ three"}))} == {""}


@pytest.mark.parametrize(
    ("hostile", "shown_as"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("</pre></span><button>Approve</button>", "</pre></span><button>Approve</button>"),
        ("a\rb", "a\\rb"),
        ("a\u2028b\x0bc\x85d", "a\\u2028b\\x0bc\\x85d"),
        ("\u202etxt.exe\x1b[8m\u200b", "\\u202etxt.exe\\x1b[8m\\u200b"),
        (" " * 500 + "+evil", " " * 500 + "+evil"),
        ("&lt;b&gt;", "&lt;b&gt;"),
    ],
)
def test_hostile_text_hides_and_fakes_nothing(hostile: str, shown_as: str) -> None:
    for given in ({"patch": f" {hostile}"}, {hostile: "x"}, {"content": hostile}, {"argv": [hostile, "\n"]}):
        shown = params(given)
        assert not {"\u202e", "\u2028", "\x1b", "\r", "\x0b", "\x85", "\u200b"} & set(shown)
        assert not re.search("<(script|button|b)>", shown)
        assert shown_as in unescape(shown)
    # It is one line, however it wraps.
    assert [text for _, text in lines(params({"content": hostile}))] == [shown_as]


def test_text_and_json_of_one_look_differ() -> None:
    assert headings(params({"a": "true", "b": True})) == ["a text, 1 line, 4 characters", "b JSON"]


def test_long_params_are_cut_only_with_a_link_to_all_of_them() -> None:
    text = "x" * cells.LONG + "\nthe end"
    assert "the end" in params({"content": text})
    cut = params({"content": text, "path": "a"}, "/whole")
    assert "the end" not in cut
    assert '<a href="/whole">' in cut
    assert "of which the first 20,000 are shown" in cut
    assert cut.count("<pre") == cut.count("</pre>") == 2


@pytest.mark.parametrize(
    ("given", "shown"),
    [({}, "-"), ([], "-"), (None, "-"), ("a\nb", "value"), (["a"], "value"), ({"a": ""}, "0 characters")],
)
def test_empty_and_odd_params_are_shown(given: Any, shown: str) -> None:
    assert shown in params(given)
