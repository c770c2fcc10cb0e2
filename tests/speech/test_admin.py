from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from speech.models import SpeechRequest

PAGE = "/admin/speech/speechrequest/"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def request_row(db: None) -> SpeechRequest:
    return SpeechRequest.objects.create(
        id=uuid4(),
        owner="operator",
        operation="synthesis",
        status="failed",
        provider="openai",
        model="tts-1",
        voice=HOSTILE,
        characters=1_234,
        cost_usd=Decimal("0.01851"),
        error=f"openai: no {HOSTILE}",
        code="provider_rejected",
        audio=b"kept audio",
        created=datetime(2026, 3, 4, 12, tzinfo=UTC),
    )


def test_calls_are_listed_with_their_cost(console: Client, request_row: SpeechRequest) -> None:
    page = console.get(PAGE).content.decode()
    assert "synthesis" in page
    assert "1,234" in page
    assert "0.0185" in page
    assert HOSTILE not in page


def test_page_of_a_call_is_read_only(console: Client, request_row: SpeechRequest) -> None:
    path = f"{PAGE}{request_row.pk}/change/"
    page = console.get(path).content.decode()
    assert "provider_rejected" in page
    assert HOSTILE not in page
    assert "kept audio" not in page
    assert console.post(path, {"owner": "eve"}).status_code == 403
    assert console.post(f"{PAGE}{request_row.pk}/delete/").status_code == 403
    assert console.get(f"{PAGE}?q={request_row.pk}").content.decode().count("synthesis") >= 1


def test_page_of_an_interrupted_call_names_its_process(console: Client, request_row: SpeechRequest) -> None:
    path = f"{PAGE}{request_row.pk}/change/"
    assert "host:boot:1#5:7" not in console.get(path).content.decode()
    SpeechRequest.objects.update(status="interrupted", process="host:boot:1#5:7")
    page = console.get(path).content.decode()
    assert "host:boot:1#5:7" in page
    assert "Interrupted" in page
    assert str(request_row.pk) in console.get(f"{PAGE}?status=interrupted").content.decode()
    assert str(request_row.pk) not in console.get(f"{PAGE}?status=running").content.decode()
