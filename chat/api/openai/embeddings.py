"""OpenAI's embeddings, by the reader that makes the vectors of retrieval.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

import asyncio
import base64
import math
from array import array
from typing import Annotated, Any, Final, Literal

from django.http import HttpRequest, JsonResponse
from ninja import Field, Router

from access.auth import KeyAuth, caller
from retrieval.base import DocumentError, Reader
from spending.accounts import payer
from tools import conf, resources
from web.errors import ApiError
from web.schemas import Strict, errors

router = Router(tags=["openai"], auth=KeyAuth("retrieval.search"))

MAX_TEXTS: Final = 256
MAX_CHARS: Final = 32_000
"""Characters of one text. The models of this size read fewer tokens, and ignore the rest."""

CHARS_A_TOKEN: Final = 4
ERRORS: Final = errors(400, 401, 403, 413, 415, 429, 503)
Text = Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]

EMBEDDINGS: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The vectors, in the order of the texts.",
            "content": {
                "application/json": {"schema": {"type": "object", "description": "OpenAI's list of embeddings."}}
            },
        }
    }
}


class EmbeddingsIn(Strict):
    """The body of `POST /v1/embeddings`."""

    model: str = Field(min_length=1, max_length=255, description="The model of retrieval; `default` is always it.")
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)] = Field(
        description="A text, or several. Tokens are not accepted."
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="`base64` is little-endian floats of 32 bits. Null is `float`."
    )
    dimensions: int | None = Field(None, ge=1, description="The dimensions of the model. Null is the same.")
    user: str | None = Field(None, max_length=255, description="Without effect. Null is the same.")


@router.post("/v1/embeddings", response=ERRORS, openapi_extra=EMBEDDINGS)
async def create_embeddings(request: HttpRequest, body: EmbeddingsIn) -> JsonResponse:
    """Return the vectors of texts: of the local model, or of the service in `RETRIEVAL_EMBEDDINGS`, with its cost."""
    if not conf.retrieval_enabled():
        raise ApiError(403, "disabled", "Retrieval is off: ENABLE_RETRIEVAL is false.")
    reader = resources.retrieval().reader
    if reader.missing:
        raise ApiError(503, "not_configured", f"No embedding model: {reader.missing}.")
    if body.model not in {reader.model, "default"}:
        raise ApiError(
            404, "model_not_found", f"There is no embedding model {body.model[:80]!r}. Use {reader.model!r}."
        )
    texts = [body.input] if isinstance(body.input, str) else body.input
    try:
        vectors = await asyncio.to_thread(_vectors, reader, texts, payer(caller(request)))
    except DocumentError as error:
        raise ApiError(503, "failed", str(error), headers={"Retry-After": "5"}) from None
    if body.dimensions not in {None, len(vectors[0])}:
        raise ApiError(422, "invalid_field", f"dimensions: the vectors of {reader.model} have {len(vectors[0])}.")
    packed = body.encoding_format == "base64"
    numbers = [base64.b64encode(one.tobytes()).decode() if packed else list(one) for one in vectors]
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(numbers)]
    tokens = sum(math.ceil(len(text) / CHARS_A_TOKEN) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JsonResponse({"object": "list", "data": data, "model": reader.model, "usage": usage})


def _vectors(reader: Reader, texts: list[str], who: Any) -> list["array[float]"]:
    """Return vectors of length 1. Raise `DocumentError`."""
    found: list[array[float]] = []
    for start in range(0, len(texts), reader.texts_at_once):
        for packed in reader.vectors(texts[start : start + reader.texts_at_once], who):
            numbers = memoryview(packed).cast("b").tolist()
            length = math.hypot(*numbers) or 1.0
            found.append(array("f", [number / length for number in numbers]))
    return found
