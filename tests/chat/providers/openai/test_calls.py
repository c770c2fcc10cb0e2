"""Covers `chat.providers.openai.calls`."""

import pytest

from chat.providers.openai.calls import MAX_CALLS, CallPiece, Calls

NAMES = {"fs_read": "fs.read", "git_commit": "git.commit"}
OBJECT = '{"path": "a"}'


def joined(*pieces: CallPiece) -> list[tuple[str, str]]:
    calls = Calls(NAMES)
    for piece in pieces:
        calls.add(piece)
    found = calls.whole()
    assert len({call.call_id for call in found}) == len(found)
    return [(call.name, call.arguments) for call in found]


def test_more_calls_than_a_model_makes_are_an_error() -> None:
    calls = Calls(NAMES)
    for number in range(MAX_CALLS):
        calls.add(CallPiece(call_id=str(number), name="fs_read"))
    with pytest.raises(ValueError, match="tool calls"):
        calls.add(CallPiece(call_id="one more", name="fs_read"))


@pytest.mark.parametrize(
    "pieces",
    [
        [
            CallPiece(index=0, name="fs_read", arguments=OBJECT),
            CallPiece(index=0, name="fs_read", arguments=OBJECT[:5]),
        ],
        [CallPiece(index=0, name="fs_read"), CallPiece(index=0, name="git_commit")],
        [CallPiece(call_id="a", index=0, name="fs_read"), CallPiece(call_id="a", index=1, name="fs_read")],
        [CallPiece(call_id="a", name="fs_read"), CallPiece(call_id="b", name="fs_read")],
        [CallPiece(call_id="a", name="fs_read", arguments=text) for text in (OBJECT, "{}")],
    ],
    ids=[
        "after a whole object",
        "another known name",
        "the same id at another index",
        "another id",
        "the same id, both whole",
    ],
)
def test_piece_with_a_name_can_open_another_call(pieces: list[CallPiece]) -> None:
    assert len(joined(*pieces)) == 2


@pytest.mark.parametrize(
    "pieces",
    [
        [CallPiece(index=0, name="git_com"), CallPiece(index=0, name="m"), CallPiece(name="it", arguments=OBJECT)],
        [CallPiece(index=0, name="git"), CallPiece(index=0, name="git_commit", arguments=OBJECT)],
        [CallPiece(call_id="a", name="git_commit"), CallPiece(call_id="b", arguments=OBJECT)],
        [CallPiece(index=0, name="git_commit"), CallPiece(index=7, arguments=OBJECT)],
        [CallPiece(index=0), CallPiece(call_id="a", index=0, name="git_commit", arguments=OBJECT)],
        [CallPiece(call_id="a", name="git_commit", arguments=OBJECT)] * 2,
        [CallPiece(index=0, name="git_commit", arguments=OBJECT), CallPiece(index=0, name="git_commit")],
    ],
    ids=["split name", "growing name", "new id", "new index", "late id and name", "sent twice", "name repeated"],
)
def test_pieces_of_one_call_stay_one_call(pieces: list[CallPiece]) -> None:
    assert joined(*pieces) == [("git.commit", OBJECT)]


@pytest.mark.parametrize(
    "name",
    [
        "functions.fs_read",
        " fs_read\n",
        "fs.read",
        "fs_read<|channel|>x",
        "default_api:fs_read",
        "fs_read:0",
        "<|call|> fs_read",
        "to=functions.fs_read",
    ],
)
def test_noise_around_a_name_is_removed(name: str) -> None:
    assert joined(CallPiece(name=name)) == [("fs.read", "{}")]


def test_unknown_name_stays_as_the_model_wrote_it() -> None:
    assert joined(CallPiece(name="functions.shred")) == [("functions.shred", "{}")]
