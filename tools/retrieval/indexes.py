"""The indexes of workspaces, as the settings configure them."""

from functools import partial

from retrieval.service import Retrieval
from retrieval.worker.process import ReaderProcess
from tools import conf
from tools.retrieval.budgets import RequestBudget


def configured_retrieval() -> Retrieval:
    """Return the indexes, with vectors from the embedding service if one is configured."""
    process, service = ReaderProcess(), conf.embedding_service()
    if service is None:
        return Retrieval(conf.index_folder(), process)
    # Imported on first use, because the HTTP client takes a sixth of a second to import.
    from retrieval.remote.client import EmbeddingClient  # noqa: PLC0415
    from retrieval.remote.reader import ServiceReader  # noqa: PLC0415

    client = EmbeddingClient(service, partial(RequestBudget, service))
    return Retrieval(conf.index_folder(), ServiceReader(process, client))
