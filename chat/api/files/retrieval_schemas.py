"""The bodies of the retrieval API."""

from typing import Annotated

from ninja import Field, Schema

from retrieval.limits import MAX_DOCUMENT_BYTES
from web.schemas import Strict

MAX_NAME_CHARS = 255
MAX_BASE64_CHARS = MAX_DOCUMENT_BYTES * 4 // 3 + 4


class IndexOut(Schema):
    """The state of the index of the caller's workspace."""

    files: int = Field(description="The files in the index.")
    skipped: int = Field(description="The files that have no text, or are too large or damaged.")
    pieces: int = Field(description="The pieces of all files.")
    embedded: int = Field(description="The pieces that have vectors.")
    bytes: int = Field(description="The size of the index in bytes.")
    updated: str | None = Field(description="The time of the last change of the index. Null before the first one.")
    complete: bool = Field(description="True if all files and vectors were in the index at that time.")
    running: bool = Field(description="True while this process completes the index in the background.")
    note: str | None = Field(description="What the index lacks. Null if nothing.")


class DocumentIn(Strict):
    """A document: a name, and a text or bytes in base64."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)] = Field(
        description="The path of the file below `documents/` of the workspace, such as `handbook/leave.md`."
    )
    text: str | None = Field(None, description="The content as text. Null if it is bytes.")
    data_base64: Annotated[str, Field(max_length=MAX_BASE64_CHARS)] | None = Field(
        None, description="The content as base64, such as that of a PDF or DOCX file. Null if it is text."
    )


class DocumentOut(Schema):
    """The file of a document."""

    path: str = Field(description="The path in the workspace.")
    size: int = Field(description="The size in bytes.")
    sha256: str = Field(description="The hash of the content.")
    created: bool = Field(description="True if there was no file before.")
