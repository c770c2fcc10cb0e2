import pytest

from web.plurals import counted


@pytest.mark.parametrize(
    ("count", "words", "shown"),
    [
        (0, ("key",), "0 keys"),
        (1, ("key",), "1 key"),
        (2, ("key",), "2 keys"),
        (1_234, ("call",), "1,234 calls"),
        (1, ("run is", "runs are"), "1 run is"),
        (2, ("run is", "runs are"), "2 runs are"),
    ],
)
def test_noun_agrees_with_its_number(count: int, words: tuple[str, ...], shown: str) -> None:
    assert counted(count, *words) == shown
