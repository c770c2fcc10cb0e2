"""Covers `chat.providers.refusals`, `chat.providers.model_list`."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chat.engine.model_port import ProviderError
from chat.providers.model_list import listed_models
from chat.providers.refusals import context_length, interruption, read_body, read_error, refusal, retry_after


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "why"}},
        {"error": "why"},
        {"error": ["why"]},
        {"error": {"errors": [{"message": "why"}]}},
        [{"error": {"message": "why", "code": 500}}],
        {"detail": "why"},
        {"detail": [{"loc": ["body"], "msg": "why"}]},
        {"detail": {"message": "why"}},
        {"errors": [{"message": "why"}]},
        {"errors": "why"},
        {"message": "why"},
        {"object": "error", "message": "why", "code": 400},
        {"message": {"detail": "why"}},
        {"base_resp": {"status_code": 1004, "status_msg": "why"}},
        "why",
    ],
)
def test_message_is_found_in_every_shape(body: Any) -> None:
    assert read_error(body).message == "why"


def test_words_of_the_service_behind_a_gateway_are_shown() -> None:
    body = {"error": {"message": "Provider returned error", "metadata": {"raw": '{"error": {"message": "too hot"}}'}}}
    assert read_error(body).message == "Provider returned error: too hot"


@pytest.mark.parametrize("body", [None, [], {}, {"error": {}}, 7, [[]]])
def test_error_without_words_has_some_text_or_none(body: Any) -> None:
    assert isinstance(read_error(body).message, str)


@pytest.mark.parametrize("text", ["<html><head><title>502 Bad\nGateway</title></head><b>x</b>", "<!DOCTYPE html><p>x"])
def test_page_is_never_part_of_a_message(text: str) -> None:
    message = read_body(text).message
    assert "<" not in message
    assert "HTML page" in message


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5120 tokens",
        "the request exceeds the available context size, try increasing it",
        "The number of tokens to keep from the initial prompt is greater than the context length",
        "The input token count (1200000) exceeds the maximum number of tokens allowed",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Please reduce the length of the messages or completion.",
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length",
    ],
)
def test_too_long_context_is_found_in_every_wording(words: str) -> None:
    assert refusal(400, "BadRequestError", words, None).code == "context_too_long"


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5120 tokens", 4096),
        ("the request exceeds the available context size (2048 tokens), try increasing it", 2048),
        ("the model context window of 8192 tokens", 8192),
        ("prompt is too long", None),
    ],
)
def test_length_of_the_context_is_read(words: str, tokens: int | None) -> None:
    assert context_length(words) == tokens


@pytest.mark.parametrize("words", ["Request too large: limit 30000 tokens per min", "max_tokens is too large", "no"])
def test_other_words_are_not_a_too_long_context(words: str) -> None:
    assert refusal(400, "", words, None).code == "provider_rejected"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "no", "type": "rate_limit_error"}, "provider_rate_limited"),
        ({"message": "no", "code": "401"}, "provider_auth"),
        ({"message": "no", "code": "invalid_request_error"}, "provider_rejected"),
        ({"message": "no", "code": 503}, "provider_unavailable"),
        ("no", "provider_unavailable"),
        ({"message": "the context window is 4096", "type": "invalid_request_error"}, "context_too_long"),
    ],
)
def test_error_within_an_answer_has_the_code_of_its_status(error: Any, code: str) -> None:
    assert interruption("openai", error).code == code


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("nan", None),
        ("7", 7),
        ("-3", 0),
        ("Wed, 21 Oct 2026 07:28:04 GMT", 4),
        ("Wed, 21 Oct 2020 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(header, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == seconds


@pytest.mark.parametrize("text", ["", "<html>", "7", '{"error": "no"}', "{}"])
def test_answer_that_is_no_list_of_models_is_an_error(text: str) -> None:
    with pytest.raises(ProviderError):
        listed_models(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [{"id": "a"}, {"id": "b"}, {"object": "model"}, {"id": null}, 7]}',
        '[{"id": "a"}, {"name": "b"}]',
        '["a", "b"]',
        '{"models": [{"model": "a"}, {"name": "b"}]}',
    ],
)
def test_models_are_listed_in_every_shape(text: str) -> None:
    assert set(listed_models(text)) == {"a", "b"}
