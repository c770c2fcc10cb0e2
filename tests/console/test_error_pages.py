"""The page for a form that is refused: it names the setting that is wrong."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

OLD = "The form is too old"


@pytest.fixture
def browser(db: None) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize(
    ("public_url", "origin", "said"),
    [
        ("", None, OLD),
        ("", "http://testserver", OLD),
        ("http://chat.example.org", "http://testserver", OLD),
        ("https://chat.example.org", "https://chat.example.org", OLD),
        # A proxy speaks HTTPS to the browser, and the setting for it is missing.
        ("", "https://testserver", "set PUBLIC_URL=https://testserver"),
        # Browsers keep no secure cookie of a page without HTTPS.
        ("https://chat.example.org", None, "from http://testserver, but PUBLIC_URL is https://chat.example.org. Open"),
        ("https://chat.example.org", "http://testserver", "Open the console at https://chat.example.org."),
        ("https://chat.example.org", "null", "without a valid origin ('null'), and PUBLIC_URL is https://chat"),
        ("https://chat.example.org", "https://<b>", "without a valid origin ('https://<b>')"),
    ],
)
def test_refused_form_names_its_cause(
    browser: Client, settings: Any, public_url: str, origin: str | None, said: str
) -> None:
    settings.PUBLIC_URL = public_url
    answer = browser.post("/admin/access/apikey/add/", {"name": "ci"}, **({"HTTP_ORIGIN": origin} if origin else {}))
    text = answer.content.decode()
    assert (answer.status_code, "<b>" in text, "CORS" in text) == (403, False, False)
    assert said in unescape(text)


@pytest.mark.parametrize(("path", "status"), [("/admin/auth/user/1/change/", 403), ("/admin/nothing/", 404)])
def test_error_page_has_a_title_and_a_main_part(client: Client, db: None, path: str, status: int) -> None:
    client.force_login(User.objects.create(username="ann", is_staff=True))
    answer = client.get(path)
    text = answer.content.decode()
    assert answer.status_code == status
    for part in ('<html lang="en">', "<title>", "<main>", "<h1>", 'name="viewport"', 'rel="icon"'):
        assert part in text, part


def test_address_of_an_action_that_is_opened_says_that_nothing_was_done(browser: Client) -> None:
    answer = browser.get("/admin/chat/session/import/")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "Nothing was done" in answer.content.decode()
