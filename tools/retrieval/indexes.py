"""The indexes of workspaces, as the settings configure them."""

from functools import partial
from typing import Any, cast

from django.db import connection

from retrieval.indexes.base import Indexes
from retrieval.indexes.sqlite.folder import SqliteIndexes
from retrieval.service import Retrieval
from retrieval.worker.process import ReaderProcess
from tools import conf
from tools.retrieval.budgets import RequestBudget


def configured_retrieval() -> Retrieval:
    """Return the indexes, with vectors from the embedding service if one is configured."""
    process, service = ReaderProcess(), conf.embedding_service()
    if service is None:
        return Retrieval(configured_indexes(), process)
    # Imported on first use, because the HTTP client takes a sixth of a second to import.
    from retrieval.remote.client import EmbeddingClient  # noqa: PLC0415
    from retrieval.remote.reader import ServiceReader  # noqa: PLC0415

    client = EmbeddingClient(service, partial(RequestBudget, service))
    return Retrieval(configured_indexes(), ServiceReader(process, client))


def configured_indexes() -> Indexes:
    """Return the indexes in the service's database if that is PostgreSQL, otherwise in files."""
    if connection.vendor != "postgresql" or not conf.is_stored():
        return SqliteIndexes(conf.index_folder())
    # Imported on first use, because a service with SQLite does without the driver.
    from retrieval.indexes.postgres.database import PostgresIndexes  # noqa: PLC0415

    return PostgresIndexes(_parameters)


def _parameters() -> dict[str, Any]:
    """Return the parameters of libpq of the service's database."""
    # The untyped backend also returns classes of Django's own, for its cursors and adapters.
    parameters = cast("Any", connection).get_connection_params()
    return {name: value for name, value in parameters.items() if name not in {"context", "cursor_factory"}}
