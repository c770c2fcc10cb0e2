"""The usual services with OpenAI's API, each declared by one variable: a key, or an address."""

from collections.abc import Callable
from typing import Final

import msgspec

from chat.providers.openai.endpoint import Endpoint


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A service, and the variable that declares it: the key of a hosted service, or the address of your own."""

    name: str
    variable: str
    base_url: str = ""


PRESETS: Final = (
    Preset(name="openrouter", variable="OPENROUTER_API_KEY", base_url="https://openrouter.ai/api/v1"),
    Preset(name="groq", variable="GROQ_API_KEY", base_url="https://api.groq.com/openai/v1"),
    Preset(name="deepseek", variable="DEEPSEEK_API_KEY", base_url="https://api.deepseek.com/v1"),
    Preset(name="mistral", variable="MISTRAL_API_KEY", base_url="https://api.mistral.ai/v1"),
    Preset(name="xai", variable="XAI_API_KEY", base_url="https://api.x.ai/v1"),
    Preset(name="ollama", variable="OLLAMA_BASE_URL"),
    Preset(name="vllm", variable="VLLM_BASE_URL"),
    Preset(name="llama_cpp", variable="LLAMA_CPP_BASE_URL"),
    Preset(name="lm_studio", variable="LM_STUDIO_BASE_URL"),
)


def declared(secret: Callable[[str], str], url: Callable[[str], str]) -> tuple[Endpoint, ...]:
    """Return the endpoints whose variable is set. `secret` and `url` read a variable."""
    found = []
    for preset in PRESETS:
        if preset.base_url:
            if key := secret(preset.variable):
                found.append(Endpoint(name=preset.name, base_url=preset.base_url, api_key=key))
        elif address := url(preset.variable):
            found.append(Endpoint(name=preset.name, base_url=address))
    return tuple(found)
