import json
import logging

import pytest
from pytest_django import Settings

from chat.engine.completion import Finished
from chat.providers.scripted import Scripted, text
from orchestrator_site.logging import JsonLines, TextLines, request_id
from tests.conftest import Start


def record(message: str, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "a.b", "levelname": "INFO", "msg": message, **fields})


def test_a_line_is_one_json_object() -> None:
    request_id.set("r1")
    line = JsonLines().format(record("run.ended", run_id="x", seconds=1.5))
    told = json.loads(line)
    assert "\n" not in line
    assert (told["event"], told["level"], told["logger"]) == ("run.ended", "INFO", "a.b")
    assert (told["run_id"], told["seconds"], told["request_id"]) == ("x", 1.5, "r1")
    assert told["time"]


def test_no_control_character_is_raw_in_a_line_of_json() -> None:
    path = "/a\nb\x1b[31m\x9b1m\u2028\u202e\U000e0041é\U0001f600"
    line = JsonLines().format(record("request", path=path))
    assert line.isprintable()
    assert "é\U0001f600" in line
    assert json.loads(line)["path"] == path


def test_a_line_of_text_has_its_fields_and_no_raw_control_characters() -> None:
    line = TextLines().format(record("request", path="/a\nb\x1b[31m", status=200))
    assert "status=200" in line
    assert "\n" not in line
    assert "\x1b" not in line


@pytest.mark.parametrize("formatter", [JsonLines, TextLines])
def test_no_secret_of_the_service_is_in_a_line(formatter: type[JsonLines | TextLines], settings: Settings) -> None:
    settings.KNOWN_SECRETS = ("the-key-of-the-house",)
    line = formatter().format(record("request", path="/?key=the-key-of-the-house", error=f"sk-{'a' * 30} was refused"))
    assert "the-key-of-the-house" not in line
    assert "sk-aaa" not in line
    assert line.count("[secret]") == 2


async def test_a_run_is_logged_without_what_was_said(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        api = await start(Scripted([text("the answer"), Finished(reason="stop")]))
        answer = await api.ask(message="the question")
    logged = [JsonLines().format(line) for line in caplog.records]
    (ended,) = [json.loads(line) for line in logged if '"run.ended"' in line]
    assert (ended["run_id"], ended["status"]) == (answer.headers["X-Run-Id"], "completed")
    assert ended["session_id"] == answer.headers["X-Session-Id"]
    assert not any("the answer" in line or "the question" in line for line in logged)
