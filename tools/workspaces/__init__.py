"""The workspaces of callers: where they lie, and how they are listed and moved."""
