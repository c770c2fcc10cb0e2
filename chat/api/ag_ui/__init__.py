"""The API of AG-UI: the same runs for clients of the Agent-User Interaction protocol."""
