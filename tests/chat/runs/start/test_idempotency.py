"""Idempotency keys when nothing is stored."""

from uuid import UUID, uuid4

import pytest

from chat.runs.start.idempotency import AlreadyBegun, Key, KeyMismatch, UnstoredKeys

KEY = Key(key="k", body_sha256="a")


class Runs:
    """The runs of a process."""

    def __init__(self) -> None:
        self.owners: dict[UUID, str] = {}

    def begun(self, owner: str) -> UUID:
        run_id = uuid4()
        self.owners[run_id] = owner
        return run_id

    def find(self, run_id: UUID, owner: str) -> object | None:
        return run_id if self.owners.get(run_id) == owner else None


def test_key_names_the_run_that_it_started() -> None:
    runs = Runs()
    keys, first = UnstoredKeys(runs.find), runs.begun("alice")
    keys.remember("alice", KEY, first)
    with pytest.raises(AlreadyBegun) as again:
        keys.remember("alice", KEY, runs.begun("alice"))
    assert again.value.run_id == first


def test_key_with_another_body_is_rejected() -> None:
    runs = Runs()
    keys = UnstoredKeys(runs.find)
    keys.remember("alice", KEY, runs.begun("alice"))
    with pytest.raises(KeyMismatch):
        keys.remember("alice", Key(key="k", body_sha256="b"), runs.begun("alice"))


def test_keys_of_different_callers_are_independent() -> None:
    runs = Runs()
    keys = UnstoredKeys(runs.find)
    keys.remember("alice", KEY, runs.begun("alice"))
    keys.remember("bob", KEY, runs.begun("bob"))


def test_key_is_forgotten_with_its_run() -> None:
    runs = Runs()
    keys, first = UnstoredKeys(runs.find), runs.begun("alice")
    keys.remember("alice", KEY, first)
    del runs.owners[first]
    keys.remember("alice", KEY, runs.begun("alice"))
