from uuid import UUID

from django.apps import AppConfig


def forget_revoked_key(key: UUID, **_: object) -> None:
    """Forget the tokens of MCP servers that were asked for with a key."""
    from tools.mcp_oauth import store  # noqa: PLC0415 - its models exist once the apps are there

    store.forget_key(str(key))


class ToolsConfig(AppConfig):
    name = "tools"

    def ready(self) -> None:
        from access import known_tools, models  # noqa: PLC0415 - as below
        from tools import assembly, checks  # noqa: F401, PLC0415 - checks register themselves, once the apps are there

        known_tools.come_from(assembly.names)
        models.key_revoked.connect(forget_revoked_key)
