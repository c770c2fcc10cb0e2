import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import settings as configured
from django.test import Client
from pytest_django import Settings

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from orchestrator_site.logging import JsonLines, TextLines, WithoutPeerFaults, WithoutRefusalTracebacks, request_id
from tests.conftest import Start


def record(message: str, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "a.b", "levelname": "INFO", "msg": message, **fields})


def test_line_is_one_json_object() -> None:
    request_id.set("r1")
    line = JsonLines().format(record("run.ended", run_id="x", seconds=1.5))
    fields = json.loads(line)
    assert "\n" not in line
    assert (fields["event"], fields["level"], fields["logger"]) == ("run.ended", "INFO", "a.b")
    assert (fields["run_id"], fields["seconds"], fields["request_id"]) == ("x", 1.5, "r1")
    assert fields["time"]


def test_line_accepts_values_of_any_type() -> None:
    line = JsonLines().format(record("odd", half="\ud800", path=Path("/a"), run=UUID(int=7), error=ValueError("x")))
    fields = json.loads(line)
    assert (fields["half"], fields["path"], fields["run"], fields["error"]) == ("\ud800", "/a", str(UUID(int=7)), "x")
    assert line.isprintable()


def test_exception_is_logged_with_its_traceback_in_one_line() -> None:
    try:
        raise ValueError("it broke\nin two")
    except ValueError:
        line = JsonLines().format(record("run.broken", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "it broke\nin two" in json.loads(line)["exc_info"]


@pytest.mark.parametrize("seconds", [0.0, 0.4, 1.0, 86_400.0])
def test_line_has_the_time_of_its_record(seconds: float) -> None:
    lines, begun = JsonLines(), datetime(2026, 11, 28, 23, 59, 59, tzinfo=UTC)
    lines.format(record("first", created=begun.timestamp()))
    fields = json.loads(lines.format(record("second", created=begun.timestamp() + seconds)))
    assert datetime.fromisoformat(fields["time"]) == begun + timedelta(seconds=int(seconds))


def test_control_characters_are_escaped_in_json_lines() -> None:
    path = "/a\nb\x1b[31m\x9b1m\u2028\u202e\U000e0041é\U0001f600"
    line = JsonLines().format(record("request", path=path))
    assert line.isprintable()
    assert "é\U0001f600" in line
    assert json.loads(line)["path"] == path


def test_text_line_has_its_fields_and_escapes_control_characters() -> None:
    line = TextLines().format(record("request", path="/a\nb\x1b[31m", status=200))
    assert "status=200" in line
    assert "\n" not in line
    assert "\x1b" not in line


@pytest.mark.parametrize("formatter", [JsonLines, TextLines])
def test_known_secrets_are_masked_in_log_lines(formatter: type[JsonLines | TextLines], settings: Settings) -> None:
    settings.KNOWN_SECRETS = ("the-key-of-the-house",)
    line = formatter().format(record("request", path="/?key=the-key-of-the-house", error=f"sk-{'a1' * 15} was refused"))
    assert "the-key-of-the-house" not in line
    assert "sk-a1a" not in line
    assert line.count("[secret]") == 2


async def test_run_is_logged_without_its_messages(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        api = await start(Scripted([text("the answer"), Finished(reason="stop")]))
        answer = await api.ask(message="the question")
    logged = [JsonLines().format(line) for line in caplog.records]
    (ended,) = [json.loads(line) for line in logged if '"run.ended"' in line]
    assert (ended["run_id"], ended["status"]) == (answer.headers["X-Run-Id"], "completed")
    assert ended["session_id"] == answer.headers["X-Session-Id"]
    assert not any("the answer" in line or "the question" in line for line in logged)


def test_malformed_input_of_strangers_is_not_logged() -> None:
    faults = WithoutPeerFaults()
    records = [logging.makeLogRecord({"msg": text}) for text in ("Invalid HTTP request received.", "Any other error")]
    assert [faults.filter(record) for record in records] == [False, True]


@pytest.mark.django_db
def test_form_that_cannot_be_read_is_logged_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert configured.LOGGING["handlers"]["stderr"]["filters"] == ["refusals"]
    caplog.handler.addFilter(WithoutRefusalTracebacks())
    answer = Client(enforce_csrf_checks=True).generic(
        "POST", "/admin/login/", b"x", "multipart/form-data", headers={"Cookie": f"csrftoken={'a' * 32}"}
    )
    assert answer.status_code == 400
    assert "Unable to parse request body" in caplog.text
    assert "Traceback" not in caplog.text


def test_failed_request_is_logged_with_its_traceback() -> None:
    failed = record("It failed.", status_code=500, exc_info=(ValueError, ValueError("x"), None))
    assert WithoutRefusalTracebacks().filter(failed)
    assert failed.exc_info
