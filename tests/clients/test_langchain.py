"""LangChain's `ChatOpenAI`: streams, tools of the application, structured answers and batches."""

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Start

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
USED = TokensUsed(input_tokens=7, output_tokens=2)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": CITY}}


async def test_chat_model_streams_and_calls_tools(start: Start, make_key: MakeKey) -> None:
    key = await make_key("chain", "chat", "tools")
    call = ToolCall(call_id="w", name="weather", arguments='{"city": "Paris"}')
    api = await start(Scripted([text("Bon", "jour"), USED, STOP], [call, USED, CALLS], [text("Rain."), USED, STOP]))
    for use_responses in (False,):
        model = ChatOpenAI(
            model="scripted-1", base_url=f"{api.base_url}/v1", api_key=key.secret, use_responses_api=use_responses
        )
        chunks = [chunk async for chunk in model.astream("Hi")]
        assert "".join(str(chunk.content) for chunk in chunks) == "Bonjour"
        question: list[Any] = [HumanMessage("Weather in Paris?")]
        asked: Any = await model.bind_tools([WEATHER]).ainvoke(question)
        (wanted,) = asked.tool_calls
        assert (wanted["name"], wanted["args"]) == ("weather", {"city": "Paris"})
        answer = await model.bind_tools([WEATHER]).ainvoke(
            [*question, asked, ToolMessage("Rain", tool_call_id=wanted["id"])]
        )
        assert answer.content == "Rain."


async def test_chat_model_uses_the_responses_api(start: Start, make_key: MakeKey) -> None:
    key = await make_key("chain", "chat", "tools")
    call = ToolCall(call_id="w", name="weather", arguments='{"city": "Paris"}')
    api = await start(Scripted([text("Bon", "jour"), USED, STOP], [call, USED, CALLS], [text("Rain."), USED, STOP]))
    model = ChatOpenAI(model="scripted-1", base_url=f"{api.base_url}/v1", api_key=key.secret, use_responses_api=True)
    assert (await model.ainvoke("Hi")).text == "Bonjour"
    question: list[Any] = [HumanMessage("Weather in Paris?")]
    asked: Any = await model.bind_tools([WEATHER]).ainvoke(question)
    (wanted,) = asked.tool_calls
    answer = await model.bind_tools([WEATHER]).ainvoke(
        [*question, asked, ToolMessage("Rain", tool_call_id=wanted["id"])]
    )
    assert answer.text == "Rain."
