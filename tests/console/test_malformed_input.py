"""Input that no field of the console can take is a 400 for every user of it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from chat.models import Session

LISTS = ("chat/session", "tools/toolexecution", "access/apikey", "auth/user")
ODD_IDS = ("x", "9" * 26, "\x00", "é")


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root", password="correct horse"))
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("path", LISTS)
def test_search_of_very_many_words_is_answered(console: Client, path: str) -> None:
    for search in ("a " * 1_500, '"a" ' * 1_500, "'" * 1_500, "a" * 100_000):
        assert console.get(f"/admin/{path}/", {"q": search}).status_code in {200, 404}, search[:10]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("action", ["delete_selected", "revoke_selected"])
def test_action_on_an_odd_id_is_no_fault_of_the_service(console: Client, path: str, action: str) -> None:
    for odd in ODD_IDS:
        form: dict[str, Any] = {"action": action, "_selected_action": odd, "post": "yes"}
        assert console.post(f"/admin/{path}/", form).status_code < 500, odd[:10]


@pytest.mark.parametrize("path", LISTS)
def test_page_of_an_odd_id_is_no_fault_of_the_service(console: Client, path: str) -> None:
    for odd in ODD_IDS:
        for end in ("change/", "whole/events/"):
            assert console.get(f"/admin/{path}/{odd[:200]}/{end}").status_code < 500, odd[:10]


@pytest.mark.parametrize("name", ["run_id", "created__gte", "status", "p", "o", "pk__in"])
def test_odd_filter_is_no_fault_of_the_service(console: Client, name: str) -> None:
    for path in LISTS:
        for odd in ODD_IDS:
            assert console.get(f"/admin/{path}/", {name: odd}).status_code < 500, (path, odd[:10])


@pytest.mark.parametrize("field", ["", "nothing", "session__nothing"])
def test_page_of_a_row_by_an_odd_field_is_no_fault_of_the_service(console: Client, field: str) -> None:
    for path in LISTS:
        assert console.get(f"/admin/{path}/1/change/", {"_to_field": field}).status_code < 500, path


def test_link_to_an_odd_object_is_400_in_the_shape_of_errors(console: Client) -> None:
    kind = ContentType.objects.get_for_model(Session).pk
    answer = console.get(f"/admin/r/{kind}/abc/")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_fault_of_the_service_stays_a_fault(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("console.pages.ReadOnlyAdmin.get_search_results", fail)
    assert console.get("/admin/chat/session/", {"q": "a"}).status_code == 500
