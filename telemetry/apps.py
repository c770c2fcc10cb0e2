from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    name = "telemetry"

    def ready(self) -> None:
        from telemetry import checks  # noqa: F401, PLC0415 - checks register themselves, once the apps are there
