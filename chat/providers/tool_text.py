"""Tool calls and their results as plain text, for a model without tools or one that did not make these calls."""

from chat.engine.messages import ToolCall, ToolMessage


def call_text(call: ToolCall) -> str:
    """Return a call as text: `[Called the tool fs.read with {"path": "a"}]`."""
    return f"[Called the tool {call.name} with {call.arguments}]"


def result_text(result: ToolMessage) -> str:
    """Return a result as text: `[The tool fs.read answered]` (or `failed`), and the content on the next lines."""
    return f"[The tool {result.name} {'failed' if result.is_error else 'answered'}]\n{result.content}"
