"""Retrieval in workspaces: the files that are indexed, and the endpoints."""
