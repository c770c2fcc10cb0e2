from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ChatConfig(AppConfig):
    name = "chat"

    def restore_indexes(self, using: str, **_: Any) -> None:
        """Make the triggers of the search again that a migration removed with its table."""
        from chat.searched import INDEXES  # noqa: PLC0415 - as below
        from storage.search.migration import restore  # noqa: PLC0415 - as below

        restore(using, *INDEXES)

    def ready(self) -> None:
        from chat import checks  # noqa: F401, PLC0415 - the checks register themselves, which needs the loaded apps
        from chat.api.agent_tool import AgentTool  # noqa: PLC0415 - as above
        from tools.mcp_server import agents  # noqa: PLC0415 - as above

        agents.comes_from(AgentTool())
        post_migrate.connect(self.restore_indexes, sender=self)
