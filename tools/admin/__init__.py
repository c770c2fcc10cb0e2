"""The admin pages of tool executions. Django imports this package when it collects admin classes."""

from tools.admin import pages

__all__ = ["pages"]
