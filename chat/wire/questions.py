"""The open questions of a run, by its events: an approval, or the calls of client tools."""

from chat.engine.events import ApprovalRequired, ApprovalResolved, ClientToolCall, Event, ToolFailed, ToolResult


class Questions:
    """The approval and the client's calls that have no answer in the events so far.

    `requests` has all approvals that were asked for, by their executions.
    """

    def __init__(self) -> None:
        self.requests: dict[str, ApprovalRequired] = {}
        self.approval: ApprovalRequired | None = None
        self.calls: dict[str, ClientToolCall] = {}

    def __bool__(self) -> bool:
        return self.approval is not None or bool(self.calls)

    def note(self, event: Event) -> None:
        """Take the next event of the run."""
        if isinstance(event, ApprovalRequired):
            self.approval = self.requests[event.execution_id] = event
        elif isinstance(event, ApprovalResolved):
            self.approval = None
        elif isinstance(event, ClientToolCall):
            self.calls[event.execution_id] = event
        elif isinstance(event, ToolResult | ToolFailed):
            self.calls.pop(event.execution_id, None)
