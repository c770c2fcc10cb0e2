from chat.engine.messages import ToolCall, ToolMessage
from chat.providers.tool_text import call_text, result_text


def test_call_becomes_text_with_its_original_arguments() -> None:
    call = ToolCall(call_id="c", name="fs.read", arguments='{"path": "a"')
    assert call_text(call) == '[Called the tool fs.read with {"path": "a"]'


def test_result_becomes_text_that_says_whether_the_tool_failed() -> None:
    assert result_text(ToolMessage(call_id="c", name="fs.read", content="42")) == "[The tool fs.read answered]\n42"
    denied = ToolMessage(call_id="c", name="fs.read", content="denied", is_error=True)
    assert result_text(denied) == "[The tool fs.read failed]\ndenied"
