import os
from pathlib import Path

import pytest

from orchestrator_site.env import Environment, InvalidSetting


def reader(**variables: str) -> Environment:
    return Environment(variables)


def test_empty_value_counts_as_unset() -> None:
    assert reader(A="").text("A", "default") == "default"
    assert reader(A=" ").integer("A", 3) == 3


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda env: env.integer("A", 1, least=1, most=9), "a whole number from 1 to 9"),
        (lambda env: env.seconds("A", 1.0, least=0.5, most=2), "a number of seconds from 0.5 to 2"),
        (lambda env: env.flag("A", default=True), "choose true or false"),
        (lambda env: env.choice("A", "x", ("x", "y")), "choose one of x, y"),
        (lambda env: env.url("A"), "a URL that starts with http"),
    ],
)
@pytest.mark.parametrize("value", ["nonsense", "-1", "10", "nan", "1e999"])
def test_invalid_value_is_rejected_with_the_valid_ones(read: object, said: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match="A=") as caught:
        read(reader(A=value))
    assert said in str(caught.value)


@pytest.mark.parametrize(("value", "meant"), [("true", True), ("1", True), ("ON", True), ("no", False), ("0", False)])
def test_flags_are_read(value: str, meant: bool) -> None:
    assert reader(A=value).flag("A", default=not meant) is meant


def test_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    assert reader(A_FILE=str(tmp_path / "key")).secret("A") == "from the file"
    assert reader(A="direct", A_FILE=str(tmp_path / "key")).secret("A") == "direct"
    with pytest.raises(InvalidSetting, match="A_FILE"):
        reader(A_FILE=str(tmp_path / "missing")).secret("A")


def test_process_environment_overrides_the_file_and_inherits_nothing_from_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\nOTHER_A=file\nOTHER_B='quoted # not a comment'\n")
    env = Environment.load({"ENV_FILE": str(file), "OTHER_A": "process"})
    assert (env.text("OTHER_A"), env.text("OTHER_B")) == ("process", "quoted # not a comment")
    assert "OTHER_B" not in os.environ


@pytest.mark.parametrize("value", ["orchestrator.db", "./a/b.db", "sqlite:////tmp/a.db"])
def test_path_is_a_sqlite_database(value: str) -> None:
    found = reader(A=value).database("A", "x.db")
    assert found["ENGINE"] == "django.db.backends.sqlite3"
    assert str(found["NAME"]).endswith(".db")


def test_postgres_url_is_a_postgresql_database() -> None:
    found = reader(A="postgres://u:p@h:5433/d").database("A", "x.db")
    assert (found["ENGINE"], found["HOST"], found["PORT"]) == ("django.db.backends.postgresql", "h", 5433)


@pytest.mark.parametrize("value", ["mysql://u:secret@h/d", "redis://h"])
def test_unsupported_database_is_rejected_without_repeating_the_password(value: str) -> None:
    with pytest.raises(InvalidSetting, match="postgres://") as caught:
        reader(A=value).database("A", "x.db")
    assert "secret" not in str(caught.value)
