"""Creation of keys, and the validation of its arguments.

Covers `access.known_tools`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from access.keys import issuing
from access.keys.issuing import KeyInvalid
from access.keys.key_format import parse
from access.models import ApiKey
from access.scopes import DEFAULT

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "  "}),
        ("name", {"name": "a" * 65}),
        ("name", {"name": "two\nlines"}),
        ("name", {"name": "\x1b[31mred"}),
        ("name", {"name": "\u202etxt.exe"}),
        ("name", {"name": "a\u2028b"}),
        ("scopes", {"words": ["chat", "shout"]}),
        ("scopes", {"words": ["fs.raed"]}),
        ("scopes", {"words": ["nothing.*"]}),
        ("expires", {"expires": "yesterday"}),
        ("expires", {"expires": "2026-03-04"}),
        ("expires", {"expires": "2026-03-04T12:00:00Z"}),
        ("expires", {"expires": "1999-01-01"}),
        ("expires", {"expires": "0001-01-01T00:00:00+14:00"}),
        ("expires", {"expires": "0d"}),
        ("expires", {"expires": "-3d"}),
        ("rate", {"rate": "lots"}),
        ("budgets", {"budgets": ["ten"]}),
        ("budgets", {"budgets": ["10usd/month", "ten"]}),
        ("budgets", {"budgets": ["1usd"] * 17}),
        ("max_runs", {"max_runs": 0}),
        ("max_runs", {"max_runs": 10**7}),
    ],
)
def test_invalid_value_is_reported_with_its_field(field: str, given: dict[str, Any]) -> None:
    with pytest.raises(KeyInvalid) as caught:
        issuing.validated(NOW, **{"name": "alice", **given})
    assert [*caught.value.problems] == [field]
    assert str(caught.value).isprintable()


def test_all_invalid_values_are_reported_at_once() -> None:
    given = {"name": "", "words": ["shout"], "expires": "0d", "rate": "lots", "max_runs": 0, "budgets": ["ten"]}
    with pytest.raises(KeyInvalid) as caught:
        issuing.validated(NOW, **given)
    assert [*caught.value.problems] == ["name", "scopes", "expires", "rate", "max_runs", "budgets"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOW + timedelta(hours=2)),
        ("30d", NOW + timedelta(days=30)),
        ("2026-03-05", datetime(2026, 3, 5, tzinfo=UTC)),
        ("2026-03-04T14:00:00+01:00", NOW + timedelta(hours=1)),
        ("2026-03-04 12:01", NOW + timedelta(minutes=1)),
        ("", None),
    ],
)
def test_expiry_is_a_date_or_a_duration_from_now(text: str, moment: datetime | None) -> None:
    assert issuing.validated(NOW, name="alice", expires=text).expires == moment


@pytest.mark.django_db
def test_only_the_hash_of_a_key_is_stored() -> None:
    asked = issuing.validated(NOW, name="alice", budgets=["10 USD/month"], rate="5/second", max_runs=3)
    issued = issuing.issue(asked, NOW)
    row = ApiKey.objects.get()
    assert parse(issued.secret.encode()).sha256 == row.sha256
    assert issued.secret not in str(vars(row))
    assert (row.scopes, row.budgets, row.rate, row.max_runs) == (DEFAULT.texts(), ["10usd/month"], "5/second", 3)
    assert row.owner == f"key:{row.id}"


@pytest.mark.django_db(transaction=True)
def test_active_keys_have_unique_names_and_revocation_frees_the_name() -> None:
    asked = issuing.validated(NOW, name="alice")
    first = issuing.issue(asked, NOW)
    with pytest.raises(KeyInvalid) as caught:
        issuing.issue(asked, NOW)
    assert [*caught.value.problems] == ["name"]
    assert (issuing.revoke(first.row, NOW), issuing.revoke(first.row, NOW)) == (True, False)
    issuing.issue(asked, NOW)
    assert ApiKey.objects.count() == 2
    assert ApiKey.objects.live("alice") != first.row
