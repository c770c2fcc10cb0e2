"""Instructions of a workspace: its `AGENTS.md` and its skills, by name, for the system prompt."""
