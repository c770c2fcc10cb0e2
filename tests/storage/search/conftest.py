"""Searches in the index of executions."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from storage.ids import new_id
from storage.search.matches import Matches
from storage.search.query import parse
from tools.execution.searched import EXECUTIONS
from tools.models import ToolExecution

Find = Callable[..., list[UUID]]


@pytest.fixture
def find(db: None) -> Find:
    """Return the function that searches executions."""

    def found(text: str, **options: Any) -> list[UUID]:
        matches = Matches(EXECUTIONS, parse(text), until=time.perf_counter() + 30, **options)
        keys = [key for batch in matches for key in batch]
        assert not matches.is_cut
        return keys

    return found


def execution(**fields: Any) -> ToolExecution:
    values = {"id": new_id(), "tool": "fs.read", "params": {}, "status": "succeeded", "source": "model", "error": ""}
    return ToolExecution.objects.create(**values | {"created": timezone.now(), "owner": "key:a-b"} | fields)
