"""The records of a file that is imported, checked as a whole before anything is stored."""

from typing import Final

import msgspec

from chat.history.pictures import image_of
from chat.history.transfer.records import MAX_METADATA_BYTES, MessageRecord, Picture, SessionRecord, record_of
from web.errors import ApiError

MAX_MESSAGES: Final = 20_000


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A session that can be stored."""

    head: SessionRecord
    messages: tuple[MessageRecord, ...]


def imported(data: bytes) -> Imported:
    """Return the session in a file of JSON Lines. Raise `ApiError` (422), which names the line."""
    head: SessionRecord | None = None
    messages: list[MessageRecord] = []
    for number, text in enumerate(data.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            record = record_of(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _invalid(number, str(error)) from None
        if isinstance(record, SessionRecord):
            if head is not None:
                raise _invalid(number, "a file has one session, as its first line")
            head = record
            if len(msgspec.json.encode(head.metadata)) > MAX_METADATA_BYTES:
                raise _invalid(number, f"metadata may have at most {MAX_METADATA_BYTES} bytes as JSON")
            continue
        if head is None:
            raise _invalid(number, "the first line must be the session")
        if len(messages) >= MAX_MESSAGES:
            raise _invalid(number, f"a session may have at most {MAX_MESSAGES} messages")
        messages.append(_checked(record, len(messages), number))
    if head is None:
        raise _invalid(1, "the file is empty")
    return Imported(head=head, messages=tuple(messages))


def _checked(record: MessageRecord, place: int, number: int) -> MessageRecord:
    """Return a message whose references and pictures are valid."""
    if any(not 0 <= first <= last < place for first, last in record.summarizes):
        raise _invalid(number, "summarizes must name messages before this one")
    if record.summarizes and record.role != "summary":
        raise _invalid(number, "only a summary summarizes")
    if record.tool_calls and record.role != "assistant":
        raise _invalid(number, "only an assistant's message has tool_calls")
    if record.pictures and record.role != "user":
        raise _invalid(number, "only a user's message has pictures")
    # The type is detected from the bytes, as for every picture.
    found = [image_of(picture.data) for picture in record.pictures]
    pictures = tuple(Picture(media_type=image.media_type, data=image.data) for image in found)
    return msgspec.structs.replace(record, pictures=pictures)


def _invalid(number: int, problem: str) -> ApiError:
    return ApiError(422, "invalid_session", f"line {number}: {problem}.")
