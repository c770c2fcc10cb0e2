"""`orchestrator approve_tool`: approve a waiting execution."""

from tools.management.decision_command import DecisionCommand


class Command(DecisionCommand):
    help = "Approve a waiting execution: it runs with exactly the params that were requested."
    verdict = "approved"
