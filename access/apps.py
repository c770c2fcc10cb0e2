from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "access"

    def ready(self) -> None:
        from access import checks  # noqa: F401, PLC0415 - checks register themselves, once the apps are there
        from access.users import logins, signals  # noqa: PLC0415 - as above

        logins.connect()
        signals.connect()
