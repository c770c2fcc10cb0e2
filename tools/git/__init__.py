"""The reading commands of git, in the sandbox, on untrusted repositories."""
