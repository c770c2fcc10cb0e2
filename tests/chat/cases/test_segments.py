"""The reader of an OpenAI-compatible stream gives the same answer, however the network cuts its bytes.

Covers `chat.providers.event_reader`, `chat.providers.openai.lenient_chunks`, `chat.providers.openai.thinking`.
"""

import random
from typing import Any

import pytest

from chat.engine.model_port import ProviderError
from chat.providers.openai.chunks import Reader
from tests.chat.cases.service import sent
from tests.chat.cases.test_cases import cases
from tests.chat.providers.whole_answers import read_whole

NAMES = {"fs_read": "fs.read", "fs_list": "fs.list", "fs_write": "fs.write", "terminal_exec": "terminal.exec"}
OTHERS = (
    rb'data: {"choices":[{"delta":{"content":"\u0000a\ud83d"}}]}' + b"\n\n",
    rb'data: {"choices":[{"delta":{"content":"\ude00b"},"finish_reason":"stop"}]}' + b"\r\n\r\n",
    'data: {"choices":[{"delta":{"content":"é漢"}}]}\n\ndata: {"choices":[{"delta":{"content":"'.encode()
    + b'\xff"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"seen"}}]}\n\nevent: error\ndata: {"message":"gone"}\n\n',
    b'\xef\xbb\xbfdata: {"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"other"}}]}\n\n',
    b"<!doctype html><title>502 Bad Gateway</title><p>x",
    b'{"choices":[{"message":{"content":"whole","tool_calls":[]},"finish_reason":"stop"}]}',
    b'[{"error":{"message":"quota","code":429}}]',
    b'data: {"choices":[{"delta":{"tool_calls":true}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":[{"type":[],"text":"x"}]},"finish_reason":"stop"}]}\n\n',
)


def bodies() -> list[bytes]:
    """Return the bodies of all cases, each once."""
    answers = [turn for case in cases("answers.jsonl") for turn in case["turns"]]
    answers += [answer for case in cases("services.jsonl") for answer in case.get("upstream", ())]
    found = {b"".join(sent(step) for step in answer["steps"] if "send" in step) for answer in answers}
    return sorted(found | {b"".join(OTHERS[:2])} | set(OTHERS))


def read(segments: list[bytes]) -> tuple[Any, ...]:
    """Return an answer's text, its calls, its usage, and its end with what is replayed."""
    text, calls, used, end = read_whole(Reader("openai", "m", NAMES), segments)
    if isinstance(end, ProviderError):
        return text, calls, used, f"{end.code} {end}"
    assert end is not None
    parts = end.provider_parts
    return text, calls, used, f"{end.reason} {parts and (parts.reasoning, parts.data['fields'])}"


@pytest.mark.parametrize("body", bodies())
def test_answer_is_the_same_however_its_bytes_are_cut(body: bytes) -> None:
    whole = read([body])
    chance = random.Random(len(body))
    for cut in range(1, len(body), 3):
        at = cut + chance.randrange(3)
        assert read([body[:at], body[at:]]) == whole, at
    assert read([body[at : at + 1] for at in range(len(body))]) == whole
    cuts = sorted(chance.sample(range(len(body)), min(9, len(body))))
    assert read([body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]) == whole
