"""Settings from the environment and its file.

Covers `orchestrator_site.environment.env_file`.
"""

import os
from pathlib import Path

import pytest

from orchestrator_site.environment.env_file import read_env_file
from orchestrator_site.environment.variables import Environment, InvalidSetting
from tools.forges.allowed import tokens


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


def test_parsed_secret_is_never_repeated(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("github.com=abc\n")
    assert reader(A_FILE=str(tmp_path / "tokens")).parsed_secret("A", tokens) == {"github.com": "abc"}
    with pytest.raises(InvalidSetting, match="A=") as caught:
        reader(A="canary").parsed_secret("A", tokens)
    assert "canary" not in str(caught.value)


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
    found = reader(A="postgres://u@%2Frun%2Fpostgresql/d").database("A", "x.db")
    assert (found["HOST"], found["NAME"]) == ("/run/postgresql", "d")
    found = reader(A="postgres://u:p@h:5433/d").database("A", "x.db")
    assert (found["ENGINE"], found["HOST"], found["PORT"]) == ("django.db.backends.postgresql", "h", 5433)


@pytest.mark.parametrize("value", ["mysql://u:secret@h/d", "redis://h"])
def test_unsupported_database_is_rejected_without_repeating_the_password(value: str) -> None:
    with pytest.raises(InvalidSetting, match="postgres://") as caught:
        reader(A=value).database("A", "x.db")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("A=value", "value"),
        ("\ufeffA=value", "value"),
        ("A = value", "value"),
        ("export A=value", "value"),
        ("A=value # a comment", "value"),
        ("A=value#not-a-comment", "value#not-a-comment"),
        ("A='a # b'  # a comment", "a # b"),
        ('A="a # b"', "a # b"),
        ("A=pa$$word${HOME}", "pa$$word${HOME}"),
        ("A=1\r\nB=2\r\n", "1"),
        ("A=", ""),
        ("A='two\nlines'", "two\nlines"),
        ("A=first\nA=last", "last"),
    ],
)
def test_file_is_read_as_compose_reads_it(tmp_path: Path, written: str, value: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(written.encode())
    assert read_env_file(file)["A"] == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"A=1\nB=caf\xe9\n", "line 2 is not in UTF-8"),
        ("A=1".encode("utf-16"), "it is in UTF-16"),
        (b"A=1\n\n# comment\nno value\n", "line 4 is not NAME=VALUE"),
        (b"A=1\nALONE\n", "line 2 is not NAME=VALUE"),
        (b"A='open\nB=secret\n", "line 1 is not NAME=VALUE"),
        (b"A=1\0\n", "line 1 has a NUL"),
    ],
)
def test_unreadable_line_is_refused_by_its_number(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(data)
    with pytest.raises(InvalidSetting, match=said) as caught:
        Environment.load({"ENV_FILE": str(file)})
    assert "secret" not in str(caught.value)


def test_missing_file_is_refused_only_if_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetting, match="cannot be read"):
        Environment.load({"ENV_FILE": str(tmp_path / "missing")})
    monkeypatch.chdir(tmp_path)
    Environment.load({})


@pytest.mark.parametrize("key", ["sk-test\u2013key", "two words", "tab\there", "caf\u00e9"])
def test_key_that_no_header_can_have_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(InvalidSetting, match="printable ASCII") as caught:
        reader(A=key).token("A")
    assert key not in str(caught.value)


@pytest.mark.parametrize("value", ["http://h/v1?a=b", "http://user:secret@h/v1", "http://h/v1#part", "http://h:x/v1"])
def test_part_of_a_url_that_would_be_lost_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match="A=") as caught:
        reader(A=value).url("A")
    assert "secret" not in str(caught.value)
    assert reader(A="http://h/v1?api-version=1").url("A", query=True) == "http://h/v1?api-version=1"


@pytest.mark.parametrize("value", ["sqlite:////tmp/a b.db", "sqlite:////tmp/a%20b.db", "/tmp/a b.db"])
def test_path_of_a_sqlite_database_is_used_whole(value: str) -> None:
    assert reader(A=value).database("A", "x.db")["NAME"] == "/tmp/a b.db"


@pytest.mark.parametrize(
    "value",
    ["sqlite:///:memory:", ":memory:", "sqlite://", "sqlite:///a.db?mode=ro", "file:a.db", "postgres://u:p@h:x/d"],
)
def test_database_that_cannot_be_used_whole_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match="A="):
        reader(A=value).database("A", "x.db")
