"""The requests of callers, and the checks that need no provider."""

from typing import Final

import msgspec

from speech.base import FORMATS, KINDS, SPEEDS, AudioFormat, AudioKind, SpeechError

# Common file extensions and names that clients send instead of the names in `KINDS`.
OTHER_NAMES: Final[dict[str, AudioKind]] = {
    "opus": "ogg",
    "oga": "ogg",
    "m4a": "mp4",
    "mov": "mp4",
    "3gp": "mp4",
    "3gpp": "mp4",
    "mpeg": "mp3",
    "mpga": "mp3",
    "wave": "wav",
    "mkv": "webm",
    "aif": "aiff",
    "aifc": "aiff",
    "snd": "au",
    "asf": "wma",
}


class TranscriptionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A recording to transcribe. `format` is the format that the caller declares."""

    audio: bytes
    provider: str | None = None
    model: str | None = None
    language: str | None = None
    format: str | None = None

    @property
    def declared_kind(self) -> AudioKind | None:
        """The kind of audio that `format` names. Raises `SpeechError` (`unknown_format`)."""
        if self.format is None:
            return None
        name = self.format.lower()
        kind = OTHER_NAMES.get(name, name)
        if kind not in KINDS:
            valid = ", ".join(KINDS)
            raise SpeechError(f"Unknown audio format {self.format[:80]!r}. Valid: {valid}.", code="unknown_format")
        return kind


class SynthesisRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A text to synthesize. A `whole` file is sent when it is complete."""

    text: str
    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    format: str = "mp3"
    speed: float = 1.0
    whole: bool = False

    def check(self, max_characters: int) -> AudioFormat:
        """Return the format. Raises `SpeechError` for a request that no provider could serve."""
        if len(self.text) > max_characters:
            raise SpeechError(
                f"The text has {len(self.text)} characters (at most {max_characters}, SPEECH_MAX_CHARACTERS). "
                "Send a shorter text.",
                code="text_too_long",
            )
        if not self.text.strip():
            raise SpeechError("The text is empty. Send at least a word.", code="invalid_text")
        try:
            # JSON can hold a lone surrogate as an escape, and no provider could receive it as UTF-8.
            self.text.encode()
        except UnicodeEncodeError:
            message = "The text has half of a surrogate pair, which is not valid Unicode."
            raise SpeechError(message, code="invalid_text") from None
        if not SPEEDS[0] <= self.speed <= SPEEDS[1]:
            message = f"Invalid speed {self.speed:g}. Valid: {SPEEDS[0]:g} to {SPEEDS[1]:g}."
            raise SpeechError(message, code="invalid_speed")
        if self.format not in FORMATS:
            valid = ", ".join(FORMATS)
            message = f"Unknown output format {self.format[:80]!r}. Valid: {valid}."
            raise SpeechError(message, code="unknown_format")
        return self.format
