"""System checks of the telemetry settings."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from telemetry import conf


@register
def check_packages(**_: Any) -> list[CheckMessage]:
    if not conf.traces_endpoint() or conf.is_installed():
        return []
    problem = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the packages that send traces are not installed."
    return [
        Error(
            problem,
            hint="Install them: uv sync --extra otel --no-dev --inexact; or leave it empty.",
            id="telemetry.E001",
        )
    ]
