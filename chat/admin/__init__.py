"""The console's pages of sessions, messages and runs. Django imports this package when it collects admin classes."""

from chat.admin import home, message_pages, run_pages, session_pages
from chat.history import changes
from console.site import ConsoleSite

ConsoleSite.home = home.context
ConsoleSite.cursor = changes.cursor

__all__ = ["message_pages", "run_pages", "session_pages"]
