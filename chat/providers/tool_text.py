"""Tool calls and their results as plain text, for a model that knows no tools or did not make these calls."""

from chat.engine.messages import ToolCall, ToolMessage


def call_text(call: ToolCall) -> str:
    """`[Called the tool fs.read with {"path": "a"}]`: the registry's name, and the arguments as they were written."""
    return f"[Called the tool {call.name} with {call.arguments}]"


def result_text(result: ToolMessage) -> str:
    """`[The tool fs.read answered]` (or `failed`), with the content on the lines after it."""
    return f"[The tool {result.name} {'failed' if result.is_error else 'answered'}]\n{result.content}"
