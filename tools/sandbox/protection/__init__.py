"""Entries of a workspace that commands may not read, write or leave behind."""

# The launcher imports this file too, so it must not import anything.
