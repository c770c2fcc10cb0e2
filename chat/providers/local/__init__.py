"""A GGUF model in this process, through llama.cpp."""

from importlib.util import find_spec

from chat.providers.base import Provider, Timeouts
from chat.providers.spec import ProviderSpec
from plugins.setting import Setting, Values

NOT_INSTALLED = "the local model's packages are not installed (uv sync --extra local --no-dev --inexact)"


def _make(values: Values, default_model: str, timeouts: Timeouts) -> Provider:
    from chat.providers.local.provider import Local  # noqa: PLC0415 - loaded when it is first needed

    return Local(
        model_path=values["LOCAL_MODEL_PATH"],
        parallel=values["LOCAL_MODEL_PARALLEL"],
        context_tokens=values["LOCAL_MODEL_CONTEXT_TOKENS"],
        threads=values["LOCAL_MODEL_THREADS"] or None,
    )


SPEC = ProviderSpec(
    name="local",
    settings=(
        Setting(name="LOCAL_MODEL_PATH", kind="file"),
        Setting(name="LOCAL_MODEL_PARALLEL", kind="integer", default=2, minimum=1, maximum=64),
        Setting(name="LOCAL_MODEL_CONTEXT_TOKENS", kind="integer", default=4_096, minimum=256, maximum=2**20),
        Setting(name="LOCAL_MODEL_THREADS", kind="integer", default=0, maximum=256),
    ),
    make=_make,
    missing=lambda _: "" if find_spec("xllamacpp") else NOT_INSTALLED,
    is_free=True,
)
