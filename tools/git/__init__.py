"""git's reading commands, in the sandbox, on repositories that nobody vouches for."""
