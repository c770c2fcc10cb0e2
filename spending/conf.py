"""The settings of spending, read in one place."""

from django.conf import settings

from access.limits.budgets import Budget


def service_budgets() -> tuple[Budget, ...]:
    """Return the budgets of the whole service."""
    return tuple(settings.BUDGETS)
