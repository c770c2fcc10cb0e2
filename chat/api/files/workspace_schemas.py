"""The bodies of the files API."""

from typing import Any, Final, Literal

from ninja import Field, Schema
from ninja.params import functions as params


class FileOut(Schema):
    """An entry of a folder."""

    path: str = Field(description="The path in the workspace.")
    type: Literal["file", "directory", "symlink", "other"] = Field(description="The type of the entry.")
    size: int = Field(description="The size in bytes.")
    modified: str = Field(description="The time of the last change, in ISO 8601.")


class FileList(Schema):
    """The entries of a folder of the workspace."""

    items: list[FileOut] = Field(description="The entries, in the order of their names.")
    count: int = Field(description="The number of entries in the answer.")
    truncated: bool = Field(description="True if there are more entries: list a subfolder.")


class WrittenOut(Schema):
    """A file after it was written."""

    path: str = Field(description="The path in the workspace, without links.")
    size: int = Field(description="The size in bytes.")
    sha256: str = Field(description="The hash of the content.")
    created: bool = Field(description="True if there was no such file before.")


class UnpackedOut(Schema):
    """The files of an archive after they were written."""

    files: int = Field(description="The number of files.")
    created: int = Field(description="The number of those that did not exist before.")
    bytes: int = Field(description="The bytes of all files together.")


FOLDER: Final[Any] = params.Query(".", max_length=4_096, description="A folder of the workspace.")
RECURSIVE: Final[Any] = params.Query(default=False, description="Also list the entries of subfolders.")
SESSION: Final[Any] = params.Query(
    None, description="A session of the caller, if each session has a workspace of its own (WORKSPACE_SCOPE=session)."
)
BINARY: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
ARCHIVE: Final = {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": False, "description": description, "schema": {"type": "string"}}


IF_MATCH: Final = _header("If-Match", "The `ETag` that the file must have, or `*` for any existing file.")
FILE_ANSWER: Final[dict[str, Any]] = {
    "parameters": [
        IF_MATCH,
        _header("If-None-Match", "An `ETag` that the client has already: the answer is 304 if the file still has it."),
        _header("Range", "A range of bytes, such as `bytes=0-1023`: the answer is 206."),
    ],
    "responses": {
        200: {"description": "The content of the file.", "content": BINARY},
        206: {"description": "A range of the content.", "content": BINARY},
        304: {"description": "The file is as the client has it."},
    },
}
FILE_BODY: Final[dict[str, Any]] = {
    "parameters": [IF_MATCH, _header("If-None-Match", "`*` if the file must not exist yet.")],
    "requestBody": {"required": True, "description": "The content of the file.", "content": BINARY},
}
FILE_REMOVAL: Final[dict[str, Any]] = {"parameters": [IF_MATCH]}
ARCHIVE_ANSWER: Final[dict[str, Any]] = {
    "responses": {200: {"description": "The files as a tar archive, compressed with gzip.", "content": ARCHIVE}}
}
ARCHIVE_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A tar archive, compressed with gzip or not: regular files and folders only.",
        "content": BINARY,
    }
}
