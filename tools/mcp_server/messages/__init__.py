"""The messages of MCP as values, without a transport."""
