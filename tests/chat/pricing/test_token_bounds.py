"""The most tokens of a request, which a budget reserves. Covers `chat.engine.context.window`."""

import pytest

from chat.engine.context.window import request_tokens, text_tokens
from chat.engine.messages import AssistantMessage, Image, ProviderParts, UserMessage
from chat.engine.model_port import CompletionRequest
from chat.pricing import tokenizer
from chat.pricing.token_bounds import most_tokens

PICTURE = Image(media_type="image/png", data=b"")


def request(model: str, text: str = "", pictures: int = 0) -> CompletionRequest:
    return CompletionRequest(model=model, messages=(UserMessage(text=text, images=(PICTURE,) * pictures),))


@pytest.mark.parametrize(
    ("model", "billed"),
    [
        ("gpt-4o-mini", 25_501),
        ("openai/gpt-4o-mini-2024-07-18", 25_501),
        ("gpt-4o", 1_445),
        ("gemini-2.5-flash", 1_032),
        ("gpt-5.4-mini", 2_500),
        ("llava:13b", 2_880),
    ],
)
def test_picture_is_reserved_at_what_a_vendor_bills_at_most(model: str, billed: int) -> None:
    one = most_tokens(request(model, pictures=1), text_tokens) - most_tokens(request(model), text_tokens)
    assert one >= billed
    assert most_tokens(request(model, pictures=16), text_tokens) - most_tokens(request(model), text_tokens) == 16 * one


@pytest.mark.parametrize("text", ["မြန်မာဘာသာ", "தமிழ்", "ไทย", "日本語", "🙂"])
def test_unusual_script_is_reserved_at_its_bytes_for_other_vocabularies(text: str) -> None:
    size = len(text.encode())
    assert most_tokens(request("gemini-2.5-flash", text), tokenizer.count) >= size
    own = request("gpt-4o", text)
    assert most_tokens(own, tokenizer.count) == request_tokens(own, tokenizer.count)


def test_parts_that_a_provider_is_sent_again_are_reserved() -> None:
    parts = ProviderParts(provider="p", model="m", data={"thought": "日" * 100})
    message = AssistantMessage(text="ok", provider_parts=parts)
    thoughtful = CompletionRequest(model="m", messages=(message,))
    assert most_tokens(thoughtful, text_tokens) >= request_tokens(thoughtful) + 300
