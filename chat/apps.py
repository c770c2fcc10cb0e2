from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        from chat import checks  # noqa: F401, PLC0415 - the checks register themselves, which needs the loaded apps
        from chat.api.agent_tool import AgentTool  # noqa: PLC0415 - as above
        from tools.mcp_server import agents  # noqa: PLC0415 - as above

        agents.comes_from(AgentTool())
