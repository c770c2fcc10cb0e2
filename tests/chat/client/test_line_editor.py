"""The line editor, with keys from a pipe."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from chat.client.line_editor import LineEditor, kept_history


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


@pytest.mark.parametrize(
    ("typed", "entry"),
    [
        ("one\r", "one"),
        ("one\\\rtwo\r", "one\ntwo"),
        ("one\x1b\rtwo\r", "one\ntwo"),
        ("\x1b[200~one\ntwo\x1b[201~\r", "one\ntwo"),
    ],
)
async def test_entry_may_have_several_lines(keys: PipeInput, typed: str, entry: str) -> None:
    keys.send_text(typed)
    assert await LineEditor(("/help",), InMemoryHistory(), colour=False).question() == entry


async def test_control_d_and_control_c_are_distinguished(keys: PipeInput) -> None:
    editor = LineEditor((), InMemoryHistory(), colour=True)
    keys.send_text("\x04")
    with pytest.raises(EOFError):
        await editor.question()
    keys.send_text("\x03")
    with pytest.raises(KeyboardInterrupt):
        await editor.answer("Run it? ")


def test_history_is_kept_and_only_the_user_can_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept_history().append_string("one")
    (file,) = tmp_path.rglob("chat_history")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(FileHistory(str(file)).load_history_strings()) == ["one"]


def test_without_a_place_the_history_is_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert isinstance(kept_history(), InMemoryHistory)
