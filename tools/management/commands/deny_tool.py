"""`manage.py deny_tool`: refuses a waiting execution."""

from tools.management.decision_command import DecisionCommand


class Command(DecisionCommand):
    help = "Refuses a waiting execution; its run goes on, and its model reads the note."
    verdict = "denied"
