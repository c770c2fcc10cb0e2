"""The providers of models. The first one that is configured is the default."""

from collections.abc import Iterable

from chat.providers import anthropic, demo, gemini, local, openai
from chat.providers.openai.endpoint import Endpoint
from chat.providers.spec import ProviderSpec

SPECS = (openai.SPEC, gemini.SPEC, anthropic.SPEC, local.SPEC, demo.SPEC)


def with_endpoints(endpoints: Iterable[Endpoint]) -> tuple[ProviderSpec, ...]:
    """Return the specifications with those of declared endpoints, which come before the models of this machine."""
    hosted = [spec for spec in SPECS if spec.settings and spec is not local.SPEC]
    declared = [openai.endpoint_spec(endpoint) for endpoint in endpoints]
    return (*hosted, *declared, *(spec for spec in SPECS if spec not in hosted))
