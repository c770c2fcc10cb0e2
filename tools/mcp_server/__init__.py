"""An MCP server with the tools that a caller may run."""
