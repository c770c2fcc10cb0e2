from django.apps import AppConfig


class ToolsConfig(AppConfig):
    name = "tools"

    def ready(self) -> None:
        from access import tool_names  # noqa: PLC0415 - as below
        from tools import checks, toolbox  # noqa: F401, PLC0415 - checks register themselves, once the apps are there

        tool_names.come_from(toolbox.names)
