"""Retrieval in workspaces: the files that are indexed, and the budgets that pay for vectors."""
