"""Indexes as SQLite files, one for each workspace."""
