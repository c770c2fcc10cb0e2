"""The bodies of a run's changes of files."""

from typing import Literal
from uuid import UUID

from ninja import Field, Schema

from tools.changes.undo import Direction
from web.schemas import Strict


class ChangedFileOut(Schema):
    """A file that the tools of a run changed."""

    path: str = Field(description="The file's path in the workspace.")
    action: Literal["created", "changed", "removed", "none"] = Field(
        description="The run's effect on the file. `none`: it has the same content as before."
    )
    sha256_before: str | None = Field(description="The hash of the content before the run. Null if there was no file.")
    sha256_after: str | None = Field(description="The hash of the content after the run. Null if there is no file.")
    restorable: bool = Field(description="True if both contents are kept, so that the change can be undone.")


class ChangesOut(Schema):
    """The files that the tools of a run changed."""

    run_id: UUID = Field(description="The run's id.")
    files: list[ChangedFileOut] = Field(description="The files, in the order of their first change.")
    diff: str = Field(description="The changes as a unified diff, secrets masked.")
    truncated: bool = Field(description="True if the diff has not all files.")
    commands: int = Field(description="The number of commands that the run executed. Their changes are not covered.")
    note: str | None = Field(description="The changes that are not covered. Null if the run executed no command.")


class UndoIn(Strict):
    """The direction: `undo` restores the files as they were before the run, `redo` as they were after it."""

    direction: Direction = Field("undo", description="`undo`, or `redo` to undo an undo.")


class RestoredOut(Schema):
    """A file of the run."""

    path: str = Field(description="The file's path in the workspace.")
    action: Literal["written", "removed", "none"] = Field(
        description="The effect on the file. `none`: it had the content already."
    )


class UndoOut(Schema):
    """The restored files."""

    run_id: UUID = Field(description="The run's id.")
    direction: Direction = Field(description="The direction of the request.")
    files: list[RestoredOut] = Field(description="The files of the run.")
    note: str | None = Field(description="The changes that are not covered. Null if the run executed no command.")
