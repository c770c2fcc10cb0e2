from django.apps import AppConfig


class ToolsConfig(AppConfig):
    name = "tools"

    def ready(self) -> None:
        from tools import checks  # noqa: F401, PLC0415 - checks register themselves, once the apps are there
