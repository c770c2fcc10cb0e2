"""The API of files: those of a workspace, and the changes of a run."""
