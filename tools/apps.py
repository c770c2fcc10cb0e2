from django.apps import AppConfig


class ToolsConfig(AppConfig):
    name = "tools"

    def ready(self) -> None:
        from access import known_tools  # noqa: PLC0415 - as below
        from tools import assembly, checks  # noqa: F401, PLC0415 - checks register themselves, once the apps are there

        known_tools.come_from(assembly.names)
