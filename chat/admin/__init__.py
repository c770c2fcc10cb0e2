"""The admin pages of sessions, messages and runs. Django imports this package when it collects admin classes."""

from chat.admin import pages

__all__ = ["pages"]
