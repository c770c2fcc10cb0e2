"""Callers with a key each."""

from tests.access.conftest import make_key as make_key
