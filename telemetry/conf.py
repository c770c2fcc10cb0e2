"""The settings of telemetry, read in one place. OpenTelemetry's packages read their other variables themselves."""

from importlib.util import find_spec
from typing import Final

from django.conf import settings

TRACES_PATH: Final = "/v1/traces"
PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def traces_endpoint() -> str:
    """Return the URL for spans (https://opentelemetry.io/docs/specs/otel/protocol/exporter/); empty for none."""
    base: str = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    return str(settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) or (base + TRACES_PATH if base else "")


def service_name() -> str:
    return str(settings.OTEL_SERVICE_NAME)


def version() -> str:
    return str(settings.VERSION)


def captures_content() -> bool:
    """Return whether spans include messages, params and results."""
    return bool(settings.OTEL_CAPTURES_CONTENT)


def is_installed() -> bool:
    """Return whether the packages of the extra `otel` are installed."""
    try:
        return all(find_spec(package) for package in PACKAGES)
    except ModuleNotFoundError:
        return False
