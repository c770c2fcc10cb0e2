"""The settings of telemetry, read in one place. OpenTelemetry's other variables are read by its own packages."""

from importlib.util import find_spec
from typing import Final

from django.conf import settings

TRACES_PATH: Final = "/v1/traces"
PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def traces_endpoint() -> str:
    """The URL that spans are sent to (https://opentelemetry.io/docs/specs/otel/protocol/exporter/); empty for none."""
    base: str = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    return str(settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) or (base + TRACES_PATH if base else "")


def service_name() -> str:
    return str(settings.OTEL_SERVICE_NAME)


def version() -> str:
    return str(settings.VERSION)


def captures_content() -> bool:
    """Whether spans hold what was said, and what tools were given and gave."""
    return bool(settings.OTEL_CAPTURES_CONTENT)


def is_installed() -> bool:
    """Whether the packages of the extra `otel` are there."""
    try:
        return all(find_spec(package) for package in PACKAGES)
    except ModuleNotFoundError:
        return False
