"""The providers of models. The first one that is configured is the default."""

from collections.abc import Iterable

from chat.providers import anthropic, demo, gemini, local, openai
from chat.providers.openai.endpoint import Endpoint
from chat.providers.spec import ProviderSpec

SPECS = (openai.SPEC, gemini.SPEC, anthropic.SPEC, local.SPEC, demo.SPEC)


def all_specs(endpoints: Iterable[Endpoint], plugins: Iterable[ProviderSpec]) -> tuple[ProviderSpec, ...]:
    """Return the specifications with those of declared endpoints and plug-ins, before the models of this machine."""
    hosted = [spec for spec in SPECS if spec.settings and spec is not local.SPEC]
    declared = [openai.endpoint_spec(endpoint) for endpoint in endpoints]
    return (*hosted, *declared, *plugins, *(spec for spec in SPECS if spec not in hosted))
