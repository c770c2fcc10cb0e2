"""A plug-in for the Orchestrator Service."""
