"""`orchestrator deny_tool`: deny a waiting execution."""

from tools.management.decision_command import DecisionCommand


class Command(DecisionCommand):
    help = "Deny a waiting execution: its run continues, and its model reads the note."
    verdict = "denied"
