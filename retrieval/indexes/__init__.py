"""Indexes of workspaces: their interface, and its implementations on SQLite and PostgreSQL."""
