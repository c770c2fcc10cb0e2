"""What callers want, and the checks that need no provider."""

from typing import Final

import msgspec

from speech.base import FORMATS, KINDS, SPEEDS, AudioFormat, AudioKind, SpeechError

OTHER_NAMES: Final[dict[str, AudioKind]] = {
    "opus": "ogg",
    "oga": "ogg",
    "m4a": "mp4",
    "mpeg": "mp3",
    "mpga": "mp3",
    "wave": "wav",
    "mkv": "webm",
}


class TranscriptionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants to have transcribed. `format` is what it says of the audio."""

    audio: bytes
    provider: str | None = None
    model: str | None = None
    language: str | None = None
    format: str | None = None

    @property
    def said(self) -> AudioKind | None:
        """Raises `SpeechError` for a format that is none."""
        if self.format is None:
            return None
        name = self.format.lower()
        kind = OTHER_NAMES.get(name, name)
        if kind not in KINDS:
            valid = ", ".join(KINDS)
            raise SpeechError(
                f"There is no audio format {self.format[:80]!r}; valid are {valid}.", code="unknown_format"
            )
        return kind


class SynthesisRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants to have said. Of a `whole` file nothing is sent before its end."""

    text: str
    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    format: str = "mp3"
    speed: float = 1.0
    whole: bool = False

    def check(self, max_characters: int) -> AudioFormat:
        """The format. Raises `SpeechError` for what nobody could say."""
        _check_text(self.text, max_characters)
        if not SPEEDS[0] <= self.speed <= SPEEDS[1]:
            message = f"speed is {self.speed:g}: valid are {SPEEDS[0]:g} to {SPEEDS[1]:g}."
            raise SpeechError(message, code="invalid_speed")
        if self.format not in FORMATS:
            valid = ", ".join(FORMATS)
            message = f"There is no audio format {self.format[:80]!r} to give; valid are {valid}."
            raise SpeechError(message, code="unknown_format")
        return self.format


def _check_text(text: str, most: int) -> None:
    if len(text) > most:
        raise SpeechError(
            f"The text has {len(text)} characters: at most {most} (SPEECH_MAX_CHARACTERS) are said at once.",
            code="text_too_long",
        )
    if not text.strip():
        raise SpeechError("The text is empty: give at least a word.", code="invalid_text")
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "The text has half of a surrogate pair, which is not Unicode."
        raise SpeechError(message, code="invalid_text") from None
