"""Reading files of a workspace: pages, lines, and searches for patterns."""
