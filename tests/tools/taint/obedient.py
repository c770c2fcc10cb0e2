"""A model over a real socket that obeys each instruction in what it reads last, from any author."""

import base64
import json
import re
from typing import Any

from chat.providers.base import Timeouts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from tests.chat.providers.fake_openai import DONE, call, finish, said, streamed
from tests.fake_service import FakeService, Recorded, Reply

# Letters and digits only, so that an instruction survives in a file's name, a URL, a title and Markdown.
INSTRUCTION = re.compile(r"OBEY([0-9a-f]+)END")
TIMEOUTS = Timeouts(connect=30, first_byte=30, idle=30)


def instruction(tool: str, **params: Any) -> str:
    """Return a text that makes the model call a tool, by its name for services."""
    return f"OBEY{json.dumps([tool.replace('.', '_'), params]).encode().hex()}END"


class ObedientModel(FakeService):
    """The model. It obeys an instruction once in each conversation."""

    def provider(self) -> OpenAI:
        return OpenAI(Endpoint(name="openai", base_url=f"{self.url}/v1", api_key="k", default_model="m"), TIMEOUTS)

    def reply_to(self, request: Recorded) -> Reply:
        messages = request.body["messages"]
        answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        read = "".join(map(_text, messages[answers[-1] + 1 if answers else 0 :]))
        calls = [called["function"] for place in answers for called in messages[place].get("tool_calls") or ()]
        known = {(called["name"], called["arguments"]) for called in calls}
        for found in INSTRUCTION.findall(read):
            name, params = json.loads(bytes.fromhex(found))
            arguments = json.dumps(params)
            if (name, arguments) not in known:
                asked = call(0, call_id=f"c{len(calls)}", name=name, arguments=arguments)
                return streamed(asked, finish("tool_calls"), DONE)
        return streamed(said("Done."), finish(), DONE)


def _text(message: dict[str, Any]) -> str:
    """Return what a model reads in a message: its text, and what is written in its pictures."""
    content = message["content"]
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        if part["type"] == "text":
            texts.append(part["text"])
        else:
            texts.append(base64.b64decode(part["image_url"]["url"].partition(",")[2]).decode("latin-1"))
    return "".join(texts)
