"""The plug-ins that `PLUGINS` allows, loaded, with the values of their settings."""

from collections.abc import Collection
from typing import Final

import msgspec
from django.core.exceptions import ImproperlyConfigured

from chat.providers import SPECS
from chat.providers.endpoint_file import SPEECH_NAMES
from chat.providers.spec import ProviderSpec
from orchestrator_site.environment.provider_settings import setting
from orchestrator_site.environment.variables import Environment
from plugins.packages import PluginInvalid, allowed_plugins, loaded
from plugins.setting import Setting, Values
from speech.providers.spec import SpeechSpec
from tools.plugins.spec import PluginTools, ToolsSpec

TAKEN: Final = (*(spec.name for spec in SPECS), *SPEECH_NAMES)
"""The names that no provider of a plug-in can have."""


class Plugins(msgspec.Struct, frozen=True, kw_only=True):
    """The loaded plug-ins. The values are those of each provider's settings, by its name."""

    tools: tuple[PluginTools, ...] = ()
    providers: tuple[ProviderSpec, ...] = ()
    speech: tuple[SpeechSpec, ...] = ()
    values: dict[str, Values] = {}
    speech_values: dict[str, Values] = {}
    secrets: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the providers."""
        return (*(spec.name for spec in self.providers), *(spec.name for spec in self.speech))


def plugins(env: Environment, name: str) -> Plugins:
    """Return the plug-ins of the packages that the variable `name` lists."""
    secrets: list[str] = []

    def values_of(settings: Collection[Setting]) -> Values:
        found = {wanted.name: setting(env, wanted) for wanted in settings}
        secrets.extend(found[wanted.name] for wanted in settings if wanted.kind == "secret")
        return found

    try:
        allowed = allowed_plugins(env.names(name))
        tools = tuple(
            PluginTools(package=package, spec=spec, values=values_of(spec.settings))
            for package, spec in loaded(allowed, "tools", ToolsSpec)
        )
        providers = loaded(allowed, "providers", ProviderSpec)
        speech = loaded(allowed, "speech", SpeechSpec)
        # A provider of models and one of speech may have the same name, as those of one vendor do.
        for found in (providers, speech):
            names = [*TAKEN, *(spec.name for _, spec in found)]
            for package, spec in found:
                if names.count(spec.name) > 1:
                    raise PluginInvalid(f"the name {spec.name!r} of a provider of the package {package} is taken")
        values = {spec.name: values_of(spec.settings) for _, spec in providers}
        speech_values = {spec.name: values_of(spec.settings) for _, spec in speech}
    except PluginInvalid as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from error
    return Plugins(
        tools=tools,
        providers=tuple(spec for _, spec in providers),
        speech=tuple(spec for _, spec in speech),
        values=values,
        speech_values=speech_values,
        secrets=tuple(filter(None, secrets)),
    )
