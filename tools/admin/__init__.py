"""The admin pages of tool executions and tool sets. Django imports this package when it collects admin classes."""

from tools.admin import pages, tool_sets

__all__ = ["pages", "tool_sets"]
