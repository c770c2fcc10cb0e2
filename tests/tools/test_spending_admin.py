"""The console's pages of usage and accounts: read-only, with readable amounts.

Covers `spending.admin`.
"""

from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.test import Client

from spending import ledger
from spending.ledger import Used
from spending.models import Account, Use

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rows() -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\nnext"
    with transaction.atomic():
        ledger.add(
            [Used(owner="o", key="operator", provider="p", model=hostile, input_tokens=7, nanos=1_500_000_000)], NOW
        )
    Account.objects.create(name="service:usd/2026-11", spent=2_500_000_000, reserved=500_000_000, updated=NOW)
    Account.objects.create(name="key:k:tokens", spent=70, reserved=0, updated=NOW)


def test_usage_is_shown_with_its_cost_and_escaped(admin_client: Client) -> None:
    page = admin_client.get("/admin/spending/use/").content.decode()
    assert "1.500000" in page
    assert "<script>alert" not in page
    assert "\x1b" not in page
    row = Use.objects.get()
    page = admin_client.get(f"/admin/spending/use/{row.pk}/change/").content.decode()
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_accounts_are_shown_in_their_units_and_found_by_prefix(admin_client: Client) -> None:
    page = admin_client.get("/admin/spending/account/").content.decode()
    assert "2.500000 USD" in page
    assert "0.500000 USD" in page
    assert "70 tokens" in page
    found = admin_client.get("/admin/spending/account/?q=key:").content.decode()
    assert "70 tokens" in found
    assert "2.500000 USD" not in found


@pytest.mark.parametrize("path", ["use/add/", "account/add/"])
def test_nothing_can_be_added(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"/admin/spending/{path}").status_code == 403


def test_anonymous_user_sees_nothing(client: Client) -> None:
    assert client.get("/admin/spending/account/").status_code == 302
