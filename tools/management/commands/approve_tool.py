"""`manage.py approve_tool`: lets a waiting execution run."""

from tools.management.decision_command import DecisionCommand


class Command(DecisionCommand):
    help = "Lets a waiting execution run, with exactly the params that it was asked for."
    verdict = "approved"
