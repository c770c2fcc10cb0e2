"""The colours of the console: each text can be read in the light and the dark scheme.

The formulas are those of WCAG 2.2 (relative luminance, contrast ratio).
"""

import re
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client

CSS = Path("console/static/console/console.css").read_text()
DJANGO = Path(admin.__file__).parent / "static/admin/css"
ENOUGH = 4.5
SCHEMES = {
    "light": (r':root, html\[data-theme="light"\]', "base.css", ":root"),
    "dark": (r'html\[data-theme="dark"\]', "dark_mode.css", r'html\[data-theme="dark"\]'),
    "dark by preference": (r"@media \(prefers-color-scheme: dark\) \{\s+:root", "dark_mode.css", ":root"),
}


def colours(css: str, selector: str) -> dict[str, str]:
    block = re.search(selector + r"[^{]*\{([^}]*)\}", css)
    assert block, selector
    return {name: value.strip() for name, value in re.findall(r"--([a-z-]+):\s*([^;]+);", block[1])}


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    parts = (int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_have_enough_contrast(scheme: str) -> None:
    own, file, selector = SCHEMES[scheme]
    found = colours((DJANGO / "base.css").read_text(), ":root") | colours((DJANGO / file).read_text(), selector)
    found |= colours(CSS, r':root, html\[data-theme="light"\]') | colours(CSS, own)
    texts = {name for name in found if name.startswith("audit-") and not name.endswith("-bg")}
    assert len(texts) == len({found[name] for name in texts}), "each outcome has its own colour"
    pairs = {
        (name, background)
        for name in texts | {"link-fg", "body-fg", "body-quiet-color"}
        for background in ("body-bg", "darkened-bg")
    }
    pairs |= {("audit-green", "audit-added-bg"), ("audit-red", "audit-removed-bg"), ("body-quiet-color", "selected-bg")}
    pairs |= {("body-quiet-color", "audit-added-bg"), ("body-quiet-color", "audit-removed-bg"), ("accent", "header-bg")}
    # Links in a message have the colour of its text.
    pairs |= {("body-fg", f"message-{kind}-bg") for kind in ("success", "warning", "error")}
    poor = {pair: contrast(found[pair[0]], found[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < ENOUGH} == {}


def test_links_in_messages_have_the_color_of_the_text() -> None:
    assert re.search(r"^ul\.messagelist li a \{ color: inherit;", CSS, re.MULTILINE)


def test_every_status_takes_its_colour_from_the_scheme() -> None:
    rules = re.findall(r"^\.audit-[a-z_]+(?:, \.audit-[a-z_]+)* \{ color: ([^;]+);", CSS, re.MULTILINE)
    assert len(rules) >= 8
    assert all(rule.startswith("var(--") for rule in rules)


def test_every_page_has_the_styles_once(client: Client, db: None) -> None:
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    for path in ("", "chat/run/", "auth/user/", "access/apikey/add/", "password_change/"):
        assert client.get(f"/admin/{path}").content.count(b"console/console.css") == 1, path
    client.logout()
    assert client.get("/admin/login/").content.count(b"console/console.css") == 1
