"""A few of the fuzzer's requests, and those that found a fault.

Covers `console.error_pages`, `scripts.other_protocols`, `scripts.well_formed`.
"""

import pytest
from django.contrib.auth.models import User

from chat.providers.scripted import Scripted
from scripts.fuzz import Fuzzer, api_paths, exchange, fuzz, signed_in
from storage.reader import read
from tests.conftest import Start

REQUESTS = 250
PASSWORD = "correct horse battery"
COOKIE = f"csrftoken={'a' * 32}"


def make_operator() -> None:
    User.objects.create_superuser("op", password=PASSWORD)


async def test_random_and_hostile_requests_are_answered_without_a_fault(start: Start) -> None:
    api = await start(Scripted())
    await read(make_operator)
    cookie, token = await signed_in(api.base_url, "op", PASSWORD)
    host = api.base_url.removeprefix("http://")
    fuzzer = Fuzzer(7, host, await api_paths(api.base_url), cookie=cookie, token=token)
    report = await fuzz(api.base_url, fuzzer, REQUESTS)
    assert report.faults == []
    assert sum(report.statuses.values()) == REQUESTS
    assert {"200", "302", "400", "404", "405"} <= set(report.statuses)


@pytest.mark.parametrize("path", ["/nothing", "/chat/runs/1", "/tools/executions/1/deny", "/admin/nothing/", "/docs"])
async def test_form_that_cannot_be_read_is_no_fault(start: Start, path: str) -> None:
    api = await start(Scripted())
    head = f"POST {path} HTTP/1.1\r\nHost: {api.base_url[7:]}\r\nConnection: close\r\nCookie: {COOKIE}\r\n"
    request = f"{head}Content-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc".encode()
    status = (await exchange(api.base_url, request)).split()[1]
    assert status in {b"400", b"403", b"404", b"405"}
